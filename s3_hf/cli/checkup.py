"""The checks of `s3-hf doctor`; none changes anything or needs a network to finish."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import S3Error, installing

if TYPE_CHECKING:
    from s3_hf.config import RunConfig

TIMEOUT = 5
"""Seconds that the Hub has to answer."""
PACKAGES = ("datasets", "transformers", "huggingface_hub", "evaluate", "torch", "accelerate", "xllamacpp")
OF_EXTRA = re.compile(r"""([\w.-]+).*;.*\bextra *== *["']([\w.-]+)["']""")
"""A requirement of this package that an extra has: its name, and the extra."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; where it is not `ok`, `detail` says what may be missing."""

    name: str
    ok: bool
    detail: str
    asked: bool = False
    """Whether the user asked for this check, so that its failure is one of the command."""


def checkup(config: RunConfig | None) -> list[Finding]:
    """Return all findings.

    Args:
        config: settings of the LLM, which is asked one tiny chat at each of its URLs; None asks none.
    """
    return [*_installed(), *_embedded(), *_services(), *(_endpoints(config) if config else ()), *_hardware()]


def checks_on_gold(config: RunConfig) -> list[Finding]:
    """Return a finding for each check of answers that rejects gold rows of the task, after one for all together.

    Raises:
        S3Error: the recipe or its gold data cannot be used.
    """
    from s3_hf.loop import calibration_of
    from s3_hf.task import task_of

    found = calibration_of(task_of(config))
    return [
        Finding("checks on gold", True, found.summary()),
        *(
            Finding(each.check, not each.change, f"{each.rejected:.2%} {each.change}: {' | '.join(each.examples)}")
            for each in found.found
        ),
    ]


def _installed() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, f"not installed; pip install {name}")
    for extra, names in _extras().items():
        try:
            yield Finding(f"extra {extra!r}", True, ", ".join(f"{name} {version(name)}" for name in names))
        except PackageNotFoundError as error:
            yield Finding(f"extra {extra!r}", False, f"{error.name} is not installed; {installing(extra)}")


def _extras() -> dict[str, list[str]]:
    """Return the extras that users install, each with its packages, as the metadata of this package has them."""
    found: dict[str, list[str]] = {}
    for requirement in requires("s3-hf") or ():
        if (parts := OF_EXTRA.match(requirement)) and parts[2] != "dev":
            found.setdefault(parts[2], []).append(parts[1])
    return found


def _embedded() -> Iterator[Finding]:
    from s3_hf.local import assets

    parts: tuple[tuple[str, str, Callable[[], Path]], ...] = (
        ("embedded LLM", assets.DEFAULT_GGUF, assets.default_gguf),
        ("embedded student", assets.MINILM_ID, assets.minilm_dir),
    )
    for name, installed, find in parts:
        try:
            find()
            yield Finding(name, True, installed)
        except S3Error as error:
            yield Finding(name, False, str(error))


def _services() -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    from s3_hf.keys import without_secrets
    from s3_hf.llm.probing import status_of
    from s3_hf.loop.asynchronous import run_coroutine

    yield Finding("Hub token", get_token() is not None, "present" if get_token() else "none; `hf auth login` to push")
    url = constants.ENDPOINT
    found = run_coroutine(status_of(url, TIMEOUT))
    if isinstance(found, int):
        yield Finding("Hub", found < 500, f"{without_secrets(url)} answers with {found}")
    else:
        yield Finding("Hub", False, f"{without_secrets(url)} cannot be reached ({found})")


def _endpoints(config: RunConfig) -> Iterator[Finding]:
    from s3_hf.config import LOCAL
    from s3_hf.llm.access import read_key
    from s3_hf.llm.probing import probe
    from s3_hf.loop.asynchronous import run_coroutine

    if config.llm == LOCAL:
        try:
            read_key(config.endpoint.api_key_env)
        except S3Error as error:
            yield Finding("LLM key", False, str(error), asked=True)
        return
    urls = config.llm_urls or (None,)
    for number, url in enumerate(urls, 1):
        found = run_coroutine(probe(config, url))
        yield Finding(
            f"LLM endpoint {number}" if len(urls) > 1 else "LLM endpoint", found.ok, found.detail, asked=True
        )


def _hardware() -> Iterator[Finding]:
    import torch

    from s3_hf.config import TrainingConfig
    from s3_hf.training import precision

    features = torch.cpu.get_capabilities()
    native = [name for name in ("avx512_bf16", "amx_bf16", "avx512_f", "avx2") if features.get(name)]
    yield Finding("processor", True, f"{os.cpu_count()} cores, {', '.join(native) or 'no vector extensions known'}")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("GPU", True, names)
    else:
        yield Finding("GPU", False, "none found; training uses the processor")
    yield Finding("training precision", True, precision(TrainingConfig()))
