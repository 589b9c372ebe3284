"""The embedded LLM and the embedded student, where settings name `local`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from s3_hf.config import LOCAL, RunConfig
from s3_hf.local import assets
from s3_hf.local.llm import serve
from s3_hf.loop import Services
from s3_hf.loop.launch import Launch
from s3_hf.strategies import strategy_named


@contextlib.contextmanager
def services(*configs: RunConfig, trains: bool = True, asks: bool = True) -> Iterator[Services]:
    """Start the embedded LLM and find the embedded student, if any of the settings need them.

    In a launch of several processes only the first one starts an LLM.

    Args:
        *configs: settings of one or more runs.
        trains: False if no student will be trained.
        asks: False if no LLM will be asked.

    Raises:
        LocalError: an embedded part is needed and not installed, or the LLM does not start.
    """
    finds = trains and any(config.student == LOCAL for config in configs)
    starts = asks and Launch.current().first
    starts = starts and any(config.llm == LOCAL and strategy_named(config.strategy).asks_llm for config in configs)
    student, name = (str(assets.minilm_dir()), assets.MINILM_ID) if finds else ("", "")
    with serve() if starts else contextlib.nullcontext() as server:
        yield Services(server.urls, server.model, student, name) if server else Services((), "", student, name)
