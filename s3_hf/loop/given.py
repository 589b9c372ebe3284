"""Rows that a run does not ask for: those of existing datasets, and of the rounds of other runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.errors import TaskError
from s3_hf.records import Example
from s3_hf.store import RunDir, open_run
from s3_hf.task import Task, check_existing, existing_examples


def is_given(config: RunConfig, number: int) -> bool:
    """Return whether the rows of a round are those of existing datasets."""
    return bool(_sources(config, number))


def check_given(config: RunConfig, run_dir: Path) -> None:
    """Check that the existing datasets can be opened; their rows are not read.

    Raises:
        TaskError: one of them cannot.
    """
    for number in range(2):
        for file in _files(config, run_dir, number):
            check_existing(file)


def given_rows(config: RunConfig, task: Task, run: RunDir, number: int) -> Iterator[Example]:
    """Yield the rows of a round that are those of existing datasets.

    Raises:
        TaskError: a dataset cannot be read, or has an unknown label or a row of the test split.
    """
    files = _files(config, run.path, number)
    same_gold = [file for file in files if _is_of_same_gold(run, Path(file))]
    return existing_examples(task.config, files, task.row_digests(task.test_split), number, same_gold)


def _sources(config: RunConfig, number: int) -> tuple[str, ...]:
    """Return the datasets of a round; none if its rows are asked for."""
    sources = (config.seed_data, config.add_data)[number] if number < 2 else None
    return (sources,) if isinstance(sources, str) else tuple(sources or ())


def _files(config: RunConfig, run_dir: Path, number: int) -> list[str]:
    """Return the datasets of a round; of a run its seed for round 0, else the rows that it added.

    A relative path is looked up in this run's directory first.
    """
    files: list[str] = []
    for source in _sources(config, number):
        folder = next((each for each in (run_dir / source, Path(source)) if (each / "run.yaml").exists()), None)
        if folder is None:
            files.append(source)
            continue
        rounds = open_run(folder).rounds()
        if not (chosen := rounds[1:] if number else rounds[:1]):
            wanted = "added rows to its seed" if number else "a seed"
            raise TaskError(f"given run {source!r} must have {wanted}, found {len(rounds)} rounds; name another one")
        files += [str(each.data) for each in chosen]
    return files


def _is_of_same_gold(run: RunDir, file: Path) -> bool:
    """Return whether a file is of a round of a run whose gold rows come from the validation split of this one's."""
    folder = file.resolve().parent.parent
    if file.name != "data.parquet" or not (folder / "run.yaml").is_file():
        return False
    own, other = (each.facts.get("digests", {}).get("validation split") for each in (run, open_run(folder)))
    return own is not None and own == other
