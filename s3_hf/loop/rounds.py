"""The stages of a round, each begun by looking for its proof in the run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from s3_hf.config import LOCAL, RunConfig
from s3_hf.errors import ConfigError, S3Error
from s3_hf.files import RowWriter, read_json, replacing, write_json
from s3_hf.locking import first_process
from s3_hf.loop.making import Maker
from s3_hf.loop.results import Observer, RoundResult, Services, result_of
from s3_hf.records import Columns
from s3_hf.store import RoundDir, RunDir, Stage, create_run, locked
from s3_hf.strategies import Strategy, strategy_named
from s3_hf.task import Task, task_of

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import TrainingJob

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Rounds:
    """The rounds of one call of `run`: everything they need, and their stages."""

    config: RunConfig
    strategy: Strategy
    task: Task
    run: RunDir
    services: Services
    observer: Observer

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls,
        config: RunConfig,
        run_dir: Path | str | None,
        services: Services,
        observer: Observer,
        *,
        trains: bool = True,
    ) -> Iterator[Self]:
        """Check everything that can be checked before anything is spent; the run directory is open, and locked."""
        task = check(config, services, trains=trains)
        strategy = strategy_named(config.strategy)
        student_name = services.student_name or (config.student if trains else Path(config.student).name)
        path = Path(run_dir) if run_dir else default_run_dir(config)
        facts: dict[str, Any] = {}
        if first_process():
            facts = {
                "strategy": config.strategy,
                "student": student_name if trains else None,
                "llm": _llm_facts(config, services) if strategy.asks_llm else None,
                "task": task.facts(),
                "digests": task.content_digests(),
            }
        else:
            _wait_for(path / "run.yaml")
        with locked(path) if first_process() else contextlib.nullcontext():
            yield cls(config, strategy, task, create_run(path, config, facts), services, observer)

    @property
    def metric(self) -> str:
        """The metric that chooses the epoch and tells convergence."""
        return self.config.metric or self.task.columns.metrics[0]

    def round(self, number: int) -> RoundResult | None:
        """Do the stages of one round that are not done yet; None if it has no rows."""
        folder = self.run.round(number)
        self.synthesize(folder)
        if folder.empty.exists():
            return None
        self._train(folder)
        self._score(folder)
        return result_of(self.run, folder)

    def publish(self, namespace: str) -> S3Error | None:
        """Publish all rounds so far; returns what was wrong instead of raising it, so that the run goes on."""
        if not first_process():
            return None
        from s3_hf.hub import push_run

        try:
            push_run(self.run, namespace)
        except S3Error as error:
            logger.warning("not published: %s", error)
            return error
        return None

    def over(self, results: list[RoundResult]) -> bool:
        """True if there is no further round: nothing to learn from, or nothing gained by it."""
        if not results or (len(results) == 1 and self.config.add_data):
            return False
        taught = bool(results[-1].mistakes) or not self.strategy.from_mistakes
        return self.strategy.grow is None or not taught or self.converged(results)

    def converged(self, results: list[RoundResult]) -> bool:
        """True if the last `patience` rounds brought no gain on gold validation."""
        patience, metric = self.config.patience, self.metric
        if patience is None or len(results) <= patience:
            return False
        scores = [result.validation[metric] for result in results]
        return max(scores[-patience:]) <= max(scores[:-patience])

    def synthesize(self, folder: RoundDir) -> None:
        """Leave the round's rows in its folder, or the proof that there are none."""
        if folder.stage() is not Stage.SYNTHESIZE or folder.empty.exists():
            return
        if not first_process():
            _wait_for(folder.facts, folder.empty)
            return
        self.observer.stage(folder.number, Stage.SYNTHESIZE)
        Maker(self.config, self.strategy, self.task, self.run, self.services, self.observer).make(folder)

    def _train(self, folder: RoundDir) -> None:
        if folder.model.exists():
            return
        from s3_hf.training import fit

        work = folder.path / "checkpoints"
        job = self._tuned(self._job(folder.number))
        if not first_process():
            fit(job, folder.model, work)
            _wait_for(folder.model)
            return
        self.observer.stage(folder.number, Stage.TRAIN)
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed: training begins anew
        with replacing(folder.model) as temporary:
            fit(job, temporary, work, self.observer.step)
        shutil.rmtree(work, ignore_errors=True)

    def _tuned(self, job: TrainingJob) -> TrainingJob:
        """The job with the settings that the search of round 0 chose, which is made now if it is not there yet."""
        if not self.config.training.trials:
            return job
        from s3_hf.training import tune

        folder = self.run.round(0)
        if not folder.tuned.exists():
            found = tune(job, folder.path / "checkpoints", folder.path / "study.sqlite", self.observer.trial)
            if first_process():
                write_json(folder.tuned, found)
            _wait_for(folder.tuned)
        return dataclasses.replace(job, settings=job.settings.model_copy(update=read_json(folder.tuned)))

    def _job(self, number: int) -> TrainingJob:
        from s3_hf.training import TrainingJob

        config, recipe, rows = self.config, self.task.config, self.run.union(number)
        return TrainingJob(
            rows=rows,
            selection=self.task.selection,
            columns=self.task.columns,
            label_names=self.task.label_names,
            student=self.services.student or config.student,
            student_name=self.services.student_name or config.student,
            max_length=config.training.max_length or recipe.max_length,
            stride=recipe.stride,
            metric=self.metric,
            seed=config.seed,
            settings=config.training,
            watched={"train": rows, "test": self.task.test} if config.training.watch else {},
        )

    def _score(self, folder: RoundDir) -> None:
        """Predict gold validation and test with the round's student; the proof is `metrics.json`."""
        if folder.stage() is not Stage.SCORE:
            return
        from s3_hf.scoring import mistakes, score
        from s3_hf.training import predict

        if first_process():
            self.observer.stage(folder.number, Stage.SCORE)
        columns, splits = self.task.columns, self._scored_splits()
        found = {
            split: predict(folder.model, rows, columns, self.config.training, folder.path / "checkpoints")
            for split, rows in splits.items()
        }
        if not first_process():
            _wait_for(folder.metrics)
            return
        learned = columns.label or columns.answers
        metrics: dict[str, Any] = {}
        writer = RowWriter(folder.predictions, _prediction_features(self.task))
        for split, rows in splits.items():
            references = rows[learned][:]
            for said, true in zip(found[split], references, strict=True):
                writer.write({"split": split, "label": true if columns.label else true["text"], **asdict(said)})
            scores = score(columns, [said.value for said in found[split]], references)
            metrics[split] = {"n": scores.n, **scores.metrics}
        writer.commit()
        metrics["validation"] = metrics.pop("selection", metrics["validation"])
        wrong = mistakes(self.task.mined, found["validation"], columns, self.config.mistake_f1)
        write_json(folder.metrics, metrics | {"mistakes": len(wrong)})

    def _scored_splits(self) -> dict[str, Dataset]:
        """`validation`, on which mistakes are found, `selection` if other rows chose the epoch, and `test`."""
        task = self.task
        held_out = {"selection": task.selection} if task.gold_options.holdout else {}
        return {"validation": task.mined, **held_out, "test": task.test}


def check(config: RunConfig, services: Services, *, trains: bool = True) -> Task:
    """Return the task, if all that can be checked before anything is spent is in order.

    Raises:
        S3Error: strategy, task, student, metric or training arguments cannot be used.
    """
    strategy = strategy_named(config.strategy)
    if strategy.asks_llm and config.llm == LOCAL and not services.llm_urls and first_process():
        raise ConfigError(
            "only the command line starts what is 'local', found llm='local' without a server; set llm, or run inside "
            "`with s3_hf.local.llm.serve() as server` with services=s3_hf.loop.Services(server.urls, server.model)"
        )
    if config.add_data and not config.rounds:
        raise ConfigError("add_data is the first round after the seed, so rounds must be 1 or more, found 0; raise it")
    task = task_of(config)
    if config.contexts:
        task.contexts  # noqa: B018 - they are read now, and kept
    if strategy.scores_rows and (task.columns.context or task.columns.answers):
        raise ConfigError(
            f"strategy {config.strategy!r} must be used on a task that labels single texts, found {task.name!r} with "
            f"the context {task.columns.context!r}; use another strategy"
        )
    if trains:
        _check_training(config, services, task.columns)
    return task


def default_run_dir(config: RunConfig) -> Path:
    """`runs/TASK-STRATEGY-FINGERPRINT`, where the same settings find their run again."""
    return Path("runs") / f"{Path(config.task).stem}-{config.strategy}-{config.fingerprint()[:6]}"


def _check_training(config: RunConfig, services: Services, columns: Columns) -> None:
    from s3_hf.scoring import check_metric
    from s3_hf.training import check_arguments, check_student, check_tuning

    if config.student == LOCAL and not services.student:
        raise ConfigError(
            "only the command line finds what is 'local', found student='local' without its weights; set student to a "
            "Hub id or folder, such as str(s3_hf.local.assets.minilm_dir())"
        )
    if config.metric is not None:
        check_metric(config.metric, columns)
    check_arguments(config.training, config.metric or columns.metrics[0])
    check_tuning(config.training)
    check_student(services.student or config.student)


def _llm_facts(config: RunConfig, services: Services) -> dict[str, str]:
    if services.llm_urls:
        return {"model": services.llm_model, "endpoint": "local"}
    if config.llm_urls:
        return {"model": config.llm_model or "as served", "endpoint": "url"}
    return {"model": str(config.llm), "endpoint": "inference-providers"}


def _prediction_features(task: Task) -> Any:
    from datasets import ClassLabel, Features, List, Value

    text = Value("string")
    told = {"label": List(text), "value": text}
    if task.columns.label:
        label = ClassLabel(names=list(task.label_names))
        told = {"label": label, "value": label}
    return Features({"split": text, "id": text, **told, "scores": List(Value("float32"))})


def _wait_for(*proofs: Path) -> None:
    """Return when one of the files is there."""
    while not any(proof.exists() for proof in proofs):
        time.sleep(POLL_SECONDS)
