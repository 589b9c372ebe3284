"""Flags and files to settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from s3_hf.errors import ConfigError

if TYPE_CHECKING:
    from s3_hf.config import RunConfig
    from s3_hf.loop import Services


def checked_folder(folder: Path | None) -> Path | None:
    """Return the folder if it is there and can be written, or can be made; as the callback of an option.

    Raises:
        StorageError: it cannot be.
    """
    from s3_hf.files import check_place

    if folder is not None:
        check_place(folder, folder=True)
    return folder


TASK = typer.Argument(help="Registered task (see `s3-hf tasks`) or path of a recipe file.", show_default=False)
CONFIG = typer.Option(None, "--config", help="YAML file of settings, or `run.yaml` of another run; flags win over it.")
_LLM = "`local`, a model id on Inference Providers, or an endpoint URL (repeat it for several)."
LLM = typer.Option(None, "--llm", help=_LLM)
LLM_OR_LOCAL = typer.Option(None, "--llm", help=f"{_LLM} [default: local]")
API_KEY_ENV = typer.Option(
    None, "--api-key-env", help="Environment variable with the endpoint's key; none is sent to a URL without it."
)
STRATEGY = typer.Option(None, help="s3, zerogen, progen or goldgen. [default: s3]")
RUN_DIR = typer.Option(
    None, "--run-dir", callback=checked_folder, help="Folder of the run. [default: runs/TASK-STRATEGY-FINGERPRINT]"
)
GOLD = typer.Option(None, help="Hub id, folder or file of the gold data, in place of the recipe's source.")
PROMPTS = typer.Option(None, help="Other prompts of the recipe by name, such as `chat`.")
SET = typer.Option(
    None, "--set", help="Any other setting, such as training.epochs=5 (repeatable).", metavar="KEY=VALUE"
)
JSON = typer.Option(False, "--json", help="Print one JSON value on standard output, progress on standard error.")


def settings(config: Path | None, given: Mapping[str, Any], assignments: list[str] | None) -> RunConfig:
    """Return the settings of a YAML file, if there is one, with flags and then `--set` put over it.

    Args:
        config: YAML file.
        given: dotted setting name to value; None means that the flag was not given.
        assignments: `key=value` strings, the value in YAML.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """
    from s3_hf.config import load_config, parse_config

    over = overrides(given, assignments)
    return load_config(config, over) if config else parse_config(over, source="the command line")


def overrides(given: Mapping[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """Return flags and `--set` assignments as nested settings.

    Args:
        given: dotted setting name to value; None means that the flag was not given.
        assignments: `key=value` strings, the value in YAML; null is a value.
    """
    from s3_hf.schema import merge

    nested: dict[str, Any] = {}
    flags = ((key, value) for key, value in given.items() if value is not None)
    for key, value in [*flags, *(_assignment(text) for text in assignments or ())]:
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = merge(nested, value)
    return nested


@contextlib.contextmanager
def services(*configs: RunConfig, trains: bool = True, asks: bool = True) -> Iterator[Services]:
    """Start the embedded LLM and find the embedded student, where the settings ask for them.

    The first process of a launch is the only one that asks.
    """
    from s3_hf.config import LOCAL
    from s3_hf.local import assets
    from s3_hf.local.llm import serve
    from s3_hf.locking import first_process
    from s3_hf.loop import Services
    from s3_hf.strategies import strategy_named

    asked = trains and any(config.student == LOCAL for config in configs)
    student = (str(assets.minilm_dir()), assets.MINILM_ID) if asked else ("", "")
    asks = asks and first_process()
    if not asks or not any(config.llm == LOCAL and strategy_named(config.strategy).asks_llm for config in configs):
        yield Services((), "", *student)
        return
    with serve() as server:
        yield Services(server.urls, server.model, *student)


def one_or_many(given: list[str] | None) -> Any:
    """What a flag that may be repeated stands for in the settings."""
    return given[0] if given and len(given) == 1 else given or None


def _assignment(text: str) -> tuple[str, Any]:
    import yaml

    key, sign, value = text.partition("=")
    if not (sign and all(key.split("."))):
        raise ConfigError(f"--set takes KEY=VALUE, such as training.epochs=5, found {text!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key} must have a YAML value, found {value!r}; quote it") from error
