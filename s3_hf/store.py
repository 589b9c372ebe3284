"""The run directory: where everything a run makes is kept, and from which it goes on.

    run.yaml  run.lock  journal.sqlite
    round-0/  data.parquet round.json | (tuned.json) model/ | predictions.parquet metrics.json | published.json
    round-1/  (helpful.json) data.parquet round.json | …
    round-2/  empty.json

The stage of a round is derived from which proof files exist (`RoundDir.stage`), never stored. Files are
written temp -> fsync -> rename, the proof of a stage last, so a kill at any moment leaves a stage either
done or not begun.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from s3_hf.config import RunConfig, parse_config
from s3_hf.errors import RunDirError
from s3_hf.files import read_json, read_rows, storage_errors, write_json, write_text
from s3_hf.locking import hold

if TYPE_CHECKING:
    from datasets import Dataset

PACKAGES = ("s3-hf", "datasets", "transformers", "huggingface_hub", "torch", "evaluate", "accelerate")
JOURNAL = "journal.sqlite"
LOCK = "run.lock"
BEFORE_THE_RUN = (JOURNAL, LOCK, ".run.yaml.tmp")
"""What the names in a folder that is no run directory yet may begin with."""
NO_WEIGHTS = (
    "a bench deletes those of a finished cell: set keep_models: true in its file, remove the cell's folder and run "
    "the bench again, which keeps the answers that were paid for"
)
"""Why there may be a trained model without its weights, and what to do."""


def has_weights(model: Path) -> bool:
    """True if a model folder is there with its weights; see `NO_WEIGHTS`."""
    return any(model.glob("*.safetensors"))


class Stage(Enum):
    """What a round has to do next."""

    SYNTHESIZE = "synthesize"
    TRAIN = "train"
    SCORE = "score"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RoundDir:
    """One round's files. `data` holds the rows that this round added, not the union."""

    path: Path
    number: int

    @property
    def data(self) -> Path:
        """Parquet of the rows that this round added."""
        return self.path / "data.parquet"

    @property
    def partial(self) -> Path:
        """Parquet of the rows made before a stop; gone when the round is complete."""
        return self.path / "partial.parquet"

    @property
    def helpful(self) -> Path:
        """Ids of earlier rounds' rows that this round's prompts may show, for each label (ProGen)."""
        return self.path / "helpful.json"

    @property
    def facts(self) -> Path:
        """How the rows were made: counts, rationales, rejections, usage. Proof that `data` is complete."""
        return self.path / "round.json"

    @property
    def empty(self) -> Path:
        """What `facts` would be of a round whose rows were all rejected. Proof that the run ends before it."""
        return self.path / "empty.json"

    @property
    def tuned(self) -> Path:
        """Training settings that a search in this round chose; later rounds use them too."""
        return self.path / "tuned.json"

    @property
    def model(self) -> Path:
        """Folder of the student trained on the union of rounds 0 to this; renamed into place when complete."""
        return self.path / "model"

    @property
    def predictions(self) -> Path:
        """Parquet with `split`, `id`, `label`, `value` and `scores` for each gold and test row."""
        return self.path / "predictions.parquet"

    @property
    def metrics(self) -> Path:
        """Scores on gold validation and test. Proof that `predictions` is complete."""
        return self.path / "metrics.json"

    @property
    def published(self) -> Path:
        """Repository ids and commits of this round on the Hub."""
        return self.path / "published.json"

    def stage(self) -> Stage:
        """The first stage whose proof is missing."""
        if not self.facts.exists():
            return Stage.SYNTHESIZE
        if not self.model.exists():
            return Stage.TRAIN
        return Stage.DONE if self.metrics.exists() else Stage.SCORE

    def once(self, name: str, found: Any) -> Any:
        """Return what was first given under this name in this round, kept in `NAME.json`."""
        path = self.path / f"{name}.json"
        if not path.exists():
            write_json(path, found)
        return read_json(path)

    def rows(self) -> Dataset:
        """The rows that this round added, memory-mapped by `datasets`."""
        return read_rows(self.data)


@dataclass(frozen=True, slots=True)
class RunDir:
    """An open run directory and what `run.yaml` says of it."""

    path: Path
    config: RunConfig
    facts: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        """The durable record of completions; may be a link to one that several runs share."""
        return (self.path / JOURNAL).resolve()

    def round(self, number: int) -> RoundDir:
        """The folder of round `number`; it need not exist yet."""
        return RoundDir(self.path / f"round-{number}", number)

    def rounds(self) -> list[RoundDir]:
        """The rounds whose data is complete, in order."""
        found: list[RoundDir] = []
        while (candidate := self.round(len(found))).facts.exists():
            found.append(candidate)
        return found

    def union(self, last: int) -> Dataset:
        """D_seed and D_add(1) to D_add(`last`): what the student of round `last` learns from (Algorithm 2)."""
        from datasets import concatenate_datasets

        return concatenate_datasets([self.round(number).rows() for number in range(last + 1)])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other process from making anything in the run directory at `path`, which need not exist yet.

    Raises:
        RunDirError: another process is at it, or it is no run directory.
        StorageError: it cannot be written.
    """
    if not (path / "run.yaml").exists():
        _check_unused(path)  # no lock is left in a folder of other things
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    handle = hold(path / LOCK, path)
    try:
        yield
    finally:
        os.close(handle)


def create_run(path: Path, config: RunConfig, facts: Mapping[str, Any]) -> RunDir:
    """Return the run directory at `path`, made now or opened again.

    Args:
        path: folder of the run; it may hold a journal, whose completions are then not asked again.
        config: settings of this call; `identity()` must equal what the directory was made with.
        facts: what else `run.yaml` records, such as the task and the names of LLM and student; its `digests` of gold
            data, labels and prompts must equal those of the directory, if both have some.

    Raises:
        RunDirError: the directory belongs to other settings or data (each is named), or is no run directory.
    """
    proof = path / "run.yaml"
    if proof.exists():
        old = open_run(path)
        _same_identity(path, old.config, config)
        _same_digests(path, old.facts.get("digests", {}), facts.get("digests", {}))
        if facts.get("student") and not old.facts.get("student"):  # until now its rows were only synthesized
            old = RunDir(path, config, {**old.facts, "student": facts["student"]})
            _write(proof, old.facts)
        return RunDir(path, config, old.facts)
    _check_unused(path)
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": config.fingerprint(),
        "versions": {"python": platform.python_version(), **_versions()},
        "config": config.model_dump(mode="json"),
        **facts,
    }
    _write(proof, record)
    return RunDir(path, config, record)


def open_run(path: Path) -> RunDir:
    """Return the existing run directory at `path`.

    Raises:
        RunDirError: there is none, or its `run.yaml` cannot be read.
    """
    proof = path / "run.yaml"
    if not proof.is_file():
        raise RunDirError(f"{str(path)!r} must be a run directory, found no run.yaml in it; check the path")
    try:
        record = yaml.safe_load(proof.read_text(encoding="utf-8"))
        config = parse_config(record["config"], source=str(proof))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise RunDirError(f"{str(proof)!r} is damaged ({error}); restore it, or start in a new folder") from error
    return RunDir(path, config, record)


def _check_unused(path: Path) -> None:
    found = path.iterdir() if path.is_dir() else [path] if path.exists() else []
    if any(not file.name.startswith(BEFORE_THE_RUN) for file in found):
        raise RunDirError(f"{str(path)!r} must be a run directory or empty, found other files; name another folder")


def _same_identity(path: Path, old: RunConfig, new: RunConfig) -> None:
    if old.fingerprint() == new.fingerprint():
        return
    before, now = _flat(old.identity()), _flat(new.identity())
    changed = [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
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
