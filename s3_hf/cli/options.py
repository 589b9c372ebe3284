"""Flags that several commands share, and settings from flags and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from s3_hf.errors import ConfigError

if TYPE_CHECKING:
    from s3_hf.config import RunConfig


def checked_folder(folder: Path | None) -> Path | None:
    """Return the folder if it can be written, or created; the callback of an option.

    Raises:
        StorageError: it cannot be written.
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
GOLD = typer.Option(
    None,
    help="Gold data to use in place of the recipe's: a file, a folder or a Hub id (OWNER/NAME or OWNER/NAME:CONFIG). "
    "For several files give a pattern, or repeat the option.",
)
PROMPTS = typer.Option(None, help="Other prompts of the recipe by name, such as `chat`.")
NO_RATIONALES = typer.Option(
    False, "--no-rationales", help="Leave rationales out of all prompts, those of extrapolations too."
)
SET = typer.Option(
    None, "--set", help="Any other setting, such as training.epochs=5 (repeatable).", metavar="KEY=VALUE"
)
PUSH_NAME = typer.Option(
    None, "--name", help="Beginning of the names of this run's repositories. [default: STRATEGY-TASK]"
)
REPLACE = typer.Option(False, "--replace", help="Write over repositories of another run that have these names.")
JSON = typer.Option(False, "--json", help="Print one JSON value on standard output, progress on standard error.")


def settings(config: Path | None, flags: Mapping[str, Any], assignments: list[str] | None) -> RunConfig:
    """Return the settings of a YAML file, overridden by flags and then by `--set`.

    Args:
        config: YAML file; None starts from the defaults.
        flags: dotted setting name to value; None means that the flag is absent.
        assignments: `key=value` strings, the value in YAML.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """
    from s3_hf.config import load_config, parse_config

    over = overrides(flags, assignments)
    return load_config(config, over) if config else parse_config(over, source="the command line")


def overrides(flags: Mapping[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """Return flags and `--set` assignments as nested settings.

    Args:
        flags: dotted setting name to value; None means that the flag is absent.
        assignments: `key=value` strings, the value in YAML; null is a value.
    """
    from s3_hf.schema import merge

    nested: dict[str, Any] = {}
    present = ((key, value) for key, value in flags.items() if value is not None)
    for key, value in [*present, *(_assignment(text) for text in assignments or ())]:
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = merge(nested, value)
    return nested


def joined(sources: list[str] | None) -> str | None:
    """Return the one source that the values of a repeated flag stand for (`rows.several`), None for none."""
    from s3_hf.config import JOINT

    return JOINT.join(sources) if sources else None


def one_or_many(values: list[str] | None) -> Any:
    """Return the setting of a repeatable flag: its one value, the list of several, or None."""
    for value in values or ():
        if "," in value and "://" in value:
            raise ConfigError(
                f"a flag takes one URL, found {value!r}; repeat the flag for several: --llm URL --llm URL"
            )
    return values[0] if values and len(values) == 1 else values or None


def _assignment(text: str) -> tuple[str, Any]:
    import yaml

    from s3_hf.schema import parse_yaml

    key, sign, value = text.partition("=")
    if not (sign and all(key.split("."))):
        raise ConfigError(f"--set takes KEY=VALUE, such as training.epochs=5, found {text!r}")
    try:
        return key, parse_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {key} must have a YAML value, found {value!r}; quote it") from error
