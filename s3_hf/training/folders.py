"""Folders of students, checked before anything in them is loaded: they may come from anybody.

A student is a folder, or a repository on the Hub whose model files are downloaded to one. What `transformers` would
load is bounded first: sizes of files, depth and numbers of the configuration, parameters of the model.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open
from torch.nn.modules import module as torch_modules

from s3_hf.errors import S3Error, StudentError, one_line
from s3_hf.files import storage_errors
from s3_hf.store import NO_WEIGHTS

WEIGHTS = "model.safetensors"
INDEX = WEIGHTS + ".index.json"
FILES = ("*.json", "*.txt", "*.model", "*.jinja", WEIGHTS, "model-*-of-*.safetensors")
"""Files of a repository that a student is loaded from; those in its folders are not."""

MOST_BYTES = 64 * 2**20
"""Most bytes of a configuration or vocabulary; the largest in use have half as many."""
MOST_HEADER_BYTES = 16 * 2**20
"""Most bytes of the header of a safetensors file."""
DEEPEST = 20
"""Most levels of a configuration."""
LARGEST = {"layer": 1_000, "depth": 1_000, "label": 100_000, "window": 100_000, "": 2**31}
"""Largest number of a configuration's key that contains this text; the first that fits holds."""
SPARE = 20_000_000
"""Parameters that a model may have beside its stored ones: a new head, or a part that was not saved."""


@contextlib.contextmanager
def student_errors(name: str) -> Iterator[None]:
    """Raise StudentError, in one sentence about the student or encoder `name`, for whatever fails as it is loaded.

    Raises:
        StorageError: the cache or a temporary folder cannot be written.
    """
    try:
        with storage_errors(Path(constants.HF_HUB_CACHE)):
            yield
    except (S3Error, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise no_student(name, *_explained(name, error)) from error


def no_student(name: str, found: str, advice: str) -> StudentError:
    """Return the error that says what was found in place of a student or an encoder, and what to do."""
    return StudentError(
        f"the model must be an encoder with a tokenizer and safetensors weights on the Hub or in a folder, found "
        f"{name!r} ({found}); {advice}"
    )


def checked_folder(name: str) -> tuple[Path, int]:
    """Return the folder of a student, downloaded if it is on the Hub, and the number of its stored parameters.

    Raises:
        StudentError: there is no such student, or its files cannot be those of one.
        OSError: the Hub cannot be reached.
        ValueError: a file is damaged.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_file():
            raise no_student(name, "a file", "name the folder that holds it")
        folder = Path(snapshot_download(name, allow_patterns=[*FILES], ignore_patterns=["*/*"]))
    for file in folder.glob("*.json"):
        if file.stat().st_size > MOST_BYTES:
            raise no_student(name, f"{file.name} of {file.stat().st_size:,} bytes", "check where it comes from")
    if not (folder / "config.json").is_file():
        raise no_student(name, "there is no config.json", "name the folder that `save_pretrained` wrote")
    if (folder / "adapter_config.json").exists():
        raise no_student(name, "an adapter of another model", "merge it (`merge_and_unload`) and save the whole model")
    _check_config(name, json.loads((folder / "config.json").read_text(encoding="utf-8")))
    return folder, sum(_parameters(name, file) for file in _weights(name, folder))


@contextlib.contextmanager
def bounded(name: str, stored: int) -> Iterator[None]:
    """Raise StudentError as soon as a model that is built here gets far more parameters than `stored`."""
    left = 2 * stored + SPARE

    def count(_module: Any, _name: str, tensor: Any) -> None:
        nonlocal left
        if tensor is not None and tensor.is_meta:  # `from_pretrained` builds there first, without memory
            left -= tensor.numel() + 1_000  # a tensor takes time, too
            if left < 0:
                raise no_student(
                    name,
                    f"its config describes a far larger model than its {stored:,} stored parameters",
                    "correct it",
                )

    hooks = (
        torch_modules.register_module_parameter_registration_hook(count),
        torch_modules.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_config(name: str, values: Any) -> None:
    """Raise StudentError for a configuration that would fetch code, or take any amount of time or memory."""
    if not isinstance(values, dict):
        raise no_student(name, f"its config.json holds a {type(values).__name__}", "restore the file")
    left: list[tuple[str, Any, int]] = [("", values, 0)]
    while left:
        key, value, depth = left.pop()
        if depth > DEEPEST:
            raise no_student(name, f"its config.json has more than {DEEPEST} levels", "restore the file")
        if key.endswith(("attn_implementation", "experts_implementation")) and "/" in str(value):
            raise no_student(name, f"its config.json asks for the code {str(value)[:60]!r}", f"remove {key!r} from it")
        most = next(most for part, most in LARGEST.items() if part in key)
        if isinstance(value, int | float) and abs(value) > most and "token" not in key:
            raise no_student(name, f"its config.json has {key!r} beyond {most:,}", "correct it, or name another model")
        inner = (
            value.items()
            if isinstance(value, dict)
            else ((key, each) for each in value)
            if isinstance(value, list)
            else ()
        )
        left.extend((str(each_key), each, depth + 1) for each_key, each in inner)


def _weights(name: str, folder: Path) -> list[Path]:
    """Return the safetensors files of a folder."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        shards = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        if all(isinstance(each, str) and Path(each).name == each for each in shards):
            return [folder / each for each in sorted(set(shards))]
        raise no_student(name, f"its {INDEX} names files elsewhere", "restore the file")
    if (folder / "training.json").is_file() and not any(folder.glob("*.bin")):
        raise StudentError(f"the model {name!r} must have weights, found none; {NO_WEIGHTS}")
    raise no_student(
        name,
        f"there is no {WEIGHTS}",
        "weights of another format, such as pytorch_model.bin, can run code and are not read: load them with "
        "`transformers` where you trust them and `save_pretrained` them again, or name another model",
    )


def _parameters(name: str, file: Path) -> int:
    """Return the number of parameters in a safetensors file, whose header is opened and checked."""
    if not file.is_file():
        raise no_student(name, f"there is no {file.name}", "copy or download the folder again")
    with file.open("rb") as opened:
        start = opened.read(8)
    if start == b"version ":
        raise no_student(name, f"its {file.name} is a Git LFS pointer", "run `git lfs pull` in the folder")
    if int.from_bytes(start, "little") > MOST_HEADER_BYTES:
        raise no_student(name, f"its {file.name} is damaged", "copy or download the folder again")
    try:
        with safe_open(file, "pt") as tensors:
            shapes = [tensors.get_slice(key).get_shape() for key in tensors.keys()]  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise no_student(name, f"its {file.name} is damaged: {error}", "copy or download the folder again") from error
    return sum(torch.Size(shape).numel() for shape in shapes)


def _explained(name: str, error: Exception) -> tuple[str, str]:
    """Return what was found and what to do, where a library failed with `error`."""
    if isinstance(error, HFValidationError):
        return "there is no such folder", "correct the path, or name a model on the Hub as OWNER/NAME"
    if isinstance(error, GatedRepoError | RepositoryNotFoundError):
        return "it is not on the Hub, or you may not read it", "check the name, HF_ENDPOINT, HF_TOKEN and your access"
    if isinstance(error, json.JSONDecodeError):
        return f"a file of it is not valid JSON: {error}", "restore its files, or name another model"
    if isinstance(error, RecursionError):
        return "a file of its configuration or tokenizer is nested too deeply", "check where it comes from"
    detail = one_line(error)
    if "trust_remote_code" in detail:
        return "it needs code of its own, which is never run", "name a model that `transformers` has the code of"
    if isinstance(error, OSError) and not Path(name).exists():
        if constants.HF_HUB_OFFLINE:
            return "HF_HUB_OFFLINE is set, and it is not in the cache", "unset HF_HUB_OFFLINE, or name a folder"
        return detail, "check the name, HF_ENDPOINT and your access"
    return detail, "restore its files, or name another model"
