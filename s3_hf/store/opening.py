"""Locking, creating and opening a run directory."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from s3_hf.config import EARLIER, RunConfig, parse_config
from s3_hf.errors import RunDirError, one_line
from s3_hf.files import storage_errors, write_text
from s3_hf.locking import hold
from s3_hf.schema import merge, parse_yaml
from s3_hf.store.layout import JOURNAL, RunDir

PACKAGES = ("s3-hf", "datasets", "transformers", "huggingface_hub", "torch", "evaluate", "accelerate")
FACTS = {"strategy": str, "student": str, "llm": dict, "task": dict, "digests": dict, "versions": dict, "folder": str}
"""Types of what `run.yaml` holds beside the settings."""
LOCK = "run.lock"
BEFORE_THE_RUN = (JOURNAL, LOCK, ".run.yaml.tmp")
"""Prefixes of the file names that a folder may hold before it is a run directory."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the run directory at `path`, which is created if it does not exist.

    Raises:
        RunDirError: another process holds the lock, or the folder is not a run directory.
        StorageError: the folder cannot be written.
    """
    if not (path / "run.yaml").exists():
        _check_unused(path)  # no lock is left in a folder of other things
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    held = hold(path / LOCK, path)
    try:
        yield
    finally:
        held.release()


def create_run(path: Path, config: RunConfig, facts: Mapping[str, Any]) -> RunDir:
    """Create the run directory at `path`, or open it if it exists, and return it.

    The `run.yaml` of an existing directory gets the `rounds` of a call with more of them; its other settings stay.

    Args:
        path: folder of the run; it may hold a journal, whose completions are reused.
        config: settings of this call; `identity()` must equal that of the existing directory.
        facts: further content of `run.yaml`, such as the task and the names of LLM and student; its `digests` of gold
            data, labels and prompts must equal those of the existing directory, if both have them. Without facts
            nothing is written to an existing directory.

    Raises:
        RunDirError: the directory belongs to other settings or data, which the message names, or the folder holds
            other files.
    """
    proof = path / "run.yaml"
    if proof.exists():
        old = open_run(path)
        _same_identity(old, config, facts.get("digests", {}))
        _same_digests(path, old.facts.get("digests", {}), facts.get("digests", {}))
        record = {**old.facts}
        if facts:  # of the first process of a launch, which holds the lock
            record["config"] = {**record["config"], "rounds": max(old.config.rounds, config.rounds)}
        if facts.get("student") and not record.get("student"):  # until now its rows were only synthesized
            record["student"] = facts["student"]
        if record != old.facts:
            _write(proof, record)
        return RunDir(path, config, record)
    _check_unused(path)
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": config.fingerprint(),
        "versions": {"python": platform.python_version(), **_versions()},
        "config": config.model_dump(mode="json"),
        "folder": str(Path.cwd()),
        **facts,
    }
    _write(proof, record)
    return RunDir(path, config, record)


def open_run(path: Path) -> RunDir:
    """Open the existing run directory at `path` and return it.

    Raises:
        RunDirError: the folder has no `run.yaml`, or it cannot be read.
    """
    proof = path / "run.yaml"
    if not proof.is_file():
        raise RunDirError(f"{str(path)!r} must be a run directory, found no run.yaml in it; check the path")
    try:
        record = parse_yaml(proof.read_bytes())
        config = parse_config(merge(EARLIER, {**record["config"]}), source=str(proof))
        _check_facts(record)
    except (yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        detail = one_line(error)
        raise RunDirError(f"{str(proof)!r} is damaged ({detail}); restore it, or start in a new folder") from error
    return RunDir(path, config, record)


def _check_facts(record: Mapping[str, Any]) -> None:
    """Raise TypeError unless the facts of a run have the types that they are written with."""
    for name, kind in FACTS.items():
        if not isinstance(record.get(name), kind | None):
            raise TypeError(f"{name} has a wrong type")


def _check_unused(path: Path) -> None:
    files = path.iterdir() if path.is_dir() else [path] if path.exists() else []
    if any(not file.name.startswith(BEFORE_THE_RUN) for file in files):
        raise RunDirError(f"{str(path)!r} must be a run directory or empty, found other files; name another folder")


def _same_identity(run: RunDir, new: RunConfig, digests: Mapping[str, str]) -> None:
    """Check that the settings are those of the run; a path may be written from another working folder.

    For a recipe and for gold data of the same file name, the digests decide.
    """
    path, old = run.path, run.config
    if old.fingerprint() == new.fingerprint():
        return
    before, now = _flat(run.located.identity()), _flat(new.located(Path.cwd()).identity())
    known = run.facts.get("digests", {})
    if known and all(digests.get(name, digest) == digest for name, digest in known.items()):
        for key in ("task", "gold"):
            if Path(before[key] or "").name == Path(now[key] or "").name:
                now[key] = before[key]
    changed = [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if not changed:
        return
    same_llm = old.written_by() == new.written_by()
    raise RunDirError(
        f"{str(path)!r} was made with other settings: {'; '.join(changed)}; set them back, or name another --run-dir"
        + (", where copies of this one's journal.sqlite* keep what was paid for" if same_llm else "")
    )


def _same_digests(path: Path, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    changed = [name for name, digest in new.items() if old.get(name, digest) != digest]
    if changed:
        raise RunDirError(
            f"the {' and '.join(changed)} of {str(path)!r} must be what it was made with, found that they changed; "
            "restore them, or name another --run-dir"
        )


def _write(proof: Path, record: Mapping[str, Any]) -> None:
    write_text(proof, yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True, width=100))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}
