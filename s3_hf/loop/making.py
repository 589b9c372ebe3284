"""The synthesis stage of one round: from strategy and LLM to `data.parquet` and `round.json`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.errors import S3Error, SynthesisError, TaskError
from s3_hf.files import RowWriter, read_json, read_rows, write_json
from s3_hf.journal import Journal
from s3_hf.llm import Client, ClientStatus
from s3_hf.loop.progen import rows_to_show
from s3_hf.loop.results import Observer, Services
from s3_hf.records import Example, Feedback, Prediction
from s3_hf.store import RoundDir, RunDir, open_run
from s3_hf.strategies import Strategy
from s3_hf.synthesis import Checks, Synthesizer
from s3_hf.task import Task, existing_examples
from s3_hf.texts import digests

logger = logging.getLogger(__name__)

WINDOW = 4
"""Slots under way for each request under way: later slots go on while an early one is asked again."""


@dataclass(frozen=True)
class Maker:
    """Makes the rows of any round of one run."""

    config: RunConfig
    strategy: Strategy
    task: Task
    run: RunDir
    services: Services
    observer: Observer

    def make(self, folder: RoundDir) -> None:
        """Leave the round's rows in `data.parquet`; what was made before a stop is in `partial.parquet`.

        Of a round after the seed that no row passed the checks for, only `empty.json` is left.

        Raises:
            SynthesisError: there is no row of the seed.
        """
        began = time.monotonic()
        if not folder.number and self.config.add_data:
            for _ in self._added(1):  # what is wrong with them is said before the seed is paid for
                pass
        writer = RowWriter(folder.data, self.task.features)
        labels: Counter[str] = Counter()
        origins: Counter[str] = Counter()

        def keep(example: Example) -> None:
            writer.write(example.row())
            if self.task.config.label:
                labels[self.task.label_names[example.columns[self.task.config.label]]] += 1
            origins[example.origin] += 1

        try:
            synthesizer = asyncio.run(self._make_rows(folder.number, keep))
        except (S3Error, KeyboardInterrupt) as error:
            if writer.count:
                writer.commit(folder.partial)
                error.add_note(f"{writer.count} rows so far: {folder.partial}")
            else:
                writer.discard()
            raise
        if writer.count:
            writer.commit()
            folder.partial.unlink(missing_ok=True)
        else:
            writer.discard()
            if not folder.number:
                raise SynthesisError("round 0 must add rows, found none that passed the checks; try another LLM")
            logger.warning("round %d adds no rows, since none passed the checks: the run ends here", folder.number)
        tally = synthesizer.tally
        write_json(
            folder.facts if writer.count else folder.empty,
            {
                "round": folder.number,
                "rows": writer.count,
                "labels": {name: labels[name] for name in self.task.label_names},
                "origins": dict(origins),
                "rationales": {name: list(found) for name, found in synthesizer.known_rationales.items()},
                "prompts": synthesizer.prompts,
                "rejected": dict(tally.rejected.most_common()),
                "given_up": tally.given_up,
                "usage": asdict(tally.usage),
                "seconds": round(time.monotonic() - began, 1),
            },
        )

    async def _make_rows(self, number: int, keep: Callable[[Example], None]) -> Synthesizer:
        """Pass each example of the round to `keep`; the journal is open while this runs."""
        llm = self.config.written_by() if self.strategy.asks_llm else None
        with Journal(self.run.journal, llm) as journal:
            async with client_of(self.config, self.services, journal, self.observer.status) as client:
                synthesizer = Synthesizer(
                    task=self.task,
                    settings=self.config.synthesis,
                    seed=self.config.seed,
                    round=number,
                    generate=client.generate,
                    checks=self._checks(number),
                    window=WINDOW * self.config.endpoint.concurrency,
                    once=self.run.round(number).once,
                )
                examples, wanted = self._examples(synthesizer, number)
                made = 0
                async for example in examples:
                    keep(example)
                    made += 1
                    self.observer.rows(made, wanted, client.status)
        return synthesizer

    def _examples(self, synthesizer: Synthesizer, number: int) -> tuple[AsyncIterator[Example], int | None]:
        config = self.config
        if number == 0:
            if config.seed_data:
                return _stream(self._existing(self._given(config.seed_data, 0), 0)), None
            return self.strategy.seed(synthesizer, config.seed_size), config.seed_size
        before = read_json(self.run.round(number - 1).facts)["rationales"]
        synthesizer.known_rationales = {name: tuple(found) for name, found in before.items()}
        if number == 1 and config.add_data:
            return _stream(self._added(number)), None
        feedback = self._feedback(number)
        source = len(feedback.mistakes) * config.synthesis.per_error
        size = config.size_of_round(number)
        limited = self.strategy.from_mistakes and not config.synthesis.top_up
        assert self.strategy.grow is not None
        return self.strategy.grow(synthesizer, feedback, size), min(source, size or source) if limited else size

    def _added(self, number: int) -> Iterator[Example]:
        """The rows of `add_data`."""
        given = self.config.add_data
        assert given is not None
        sources = (given,) if isinstance(given, str) else given
        files = [file for source in sources for file in self._given(source, number)]
        return self._existing(files, number)

    def _existing(self, sources: list[str], number: int) -> Iterator[Example]:
        test = self.task.row_digests(self.task.test_split)
        return existing_examples(self.task.config, sources, test, number)

    def _given(self, source: str, number: int) -> list[str]:
        """The source, or the files of a run: its seed for round 0, else what it added; one beside this run too."""
        folders = (self.run.path / source, Path(source))
        folder = next((one for one in folders if (one / "run.yaml").exists()), None)
        if folder is None:
            return [source]
        rounds = open_run(folder).rounds()
        if not (chosen := rounds[1:] if number else rounds[:1]):
            wanted = "added rows to its seed" if number else "a seed"
            raise TaskError(f"given run {source!r} must have {wanted}, found {len(rounds)} rounds; name another one")
        return [str(one.data) for one in chosen]

    def _checks(self, number: int) -> Checks:
        """Checks that know the gold texts and the texts of earlier rounds."""
        seen: set[int] = set()
        for earlier in range(number):
            seen |= self.task.row_digests(self.run.round(earlier).rows())
        return checks_of(self.task, seen)

    def _feedback(self, number: int) -> Feedback:
        from s3_hf.scoring import mistakes

        last = self.run.round(number - 1)
        rows = read_rows(last.predictions).filter(lambda row: row["split"] == "validation")
        predictions = tuple(Prediction(row["id"], row["value"], tuple(row["scores"])) for row in rows)
        wrong = mistakes(self.task.mined, predictions, self.task.columns, self.config.mistake_f1)
        shown = rows_to_show(self.run, self.task, number) if self.strategy.scores_rows else {}
        return Feedback(self.run.union(number - 1), self.task.mined, wrong, shown)


def client_of(
    config: RunConfig, services: Services, journal: Journal, told: Callable[[ClientStatus], None] | None = None
) -> Client:
    """The client of the LLM that the settings name; `told` hears of its progress."""
    urls = services.llm_urls or config.llm_urls
    return Client(config.llm_model if urls else str(config.llm), urls, config.endpoint, journal, told)


def checks_of(task: Task, seen: set[int]) -> Checks:
    """The checks of a task, by all its gold texts; `seen` holds digests of the rows that there are already."""
    config = task.config
    return Checks(
        task.label_words,
        config.min_words,
        config.one_line,
        config.question,
        test=digests(task.test_split[config.text][:]),
        gold=task.row_digests(task.validation_split),
        seen=seen,
    )


async def _stream(examples: Iterable[Example]) -> AsyncIterator[Example]:
    for example in examples:
        yield example
