"""What all stages of a run need, checked and opened once."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.config import LOCAL, RunConfig
from s3_hf.errors import ConfigError
from s3_hf.judging import check_judge
from s3_hf.llm import ClientStatus
from s3_hf.llm.access import check_endpoint
from s3_hf.loop.given import check_given
from s3_hf.loop.launch import Launch
from s3_hf.loop.metric import metric_of, skew_sentence
from s3_hf.store import FinalResult, RoundResult, RunDir, Stage, create_run
from s3_hf.strategies import Strategy, strategy_named
from s3_hf.task import Task, is_skewed, task_of

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import TrainingJob

logger = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds after which a check says what it waits for."""


class Observer:
    """Receives the progress of a run; this one ignores it. It is called in the first process of a launch only."""

    def stage(self, number: int, stage: Stage) -> None:
        """Round `number` begins a stage."""

    def asking(self, what: str, status: ClientStatus) -> None:
        """The LLM is asked for what is needed before rows: `rationales`, `names`, `talk`, or labels of gold rows."""

    def rows(self, done: int, total: int | None, status: ClientStatus) -> None:
        """`done` of `total` rows of the round passed the checks, in any order; a few may turn out to be duplicates.

        It is called after every answer and before every repeated request, too. `total` is None if the method decides
        how many rows there will be.
        """

    def judging(self, sentence: str) -> None:
        """It is decided whether labels are judged; `sentence` has what was found and what is done."""

    def trial(self, done: int, total: int) -> None:
        """`done` of `total` trials of the search for training settings are finished, and the next one begins."""

    def step(self, done: int, total: int) -> None:
        """`done` of `total` training steps are finished."""

    def scored(self, result: RoundResult) -> None:
        """A round is finished."""

    def final(self, what: str) -> None:
        """After the rounds, the training of a student begins; `what` says what it learns."""

    def final_scored(self, result: FinalResult) -> None:
        """The final student is trained and scored."""


@dataclass(frozen=True, slots=True)
class Services:
    """Addresses of the embedded parts, used where the settings name `local`.

    Attributes:
        llm_urls: base URLs of the running LLM.
        llm_model: name of the LLM on cards.
        student: folder of the student's pretrained weights.
        student_name: name of the student on cards.
    """

    llm_urls: tuple[str, ...] = ()
    llm_model: str = ""
    student: str = ""
    student_name: str = ""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a run reaches its LLM and its student, and their names on cards.

    Attributes:
        llm_urls: base URLs of the endpoint; empty for a model on Inference Providers.
        llm_model: model in the requests; None takes the one that the endpoint serves.
        llm_facts: `model` and `endpoint` (`local`, `url` or `inference-providers`) as cards name them.
        student: Hub id or folder of the pretrained weights.
        student_name: name of the student on cards.
    """

    llm_urls: tuple[str, ...]
    llm_model: str | None
    llm_facts: dict[str, str]
    student: str
    student_name: str

    @classmethod
    def of(cls, config: RunConfig, services: Services) -> Addresses:
        """Return the addresses in the settings, and those of `services` where the settings name `local`."""
        urls, model = config.llm_urls, config.llm_model
        if config.llm == LOCAL:
            urls, facts = services.llm_urls, {"model": services.llm_model, "endpoint": "local"}
            model = model if urls else services.llm_model  # "" where the strategy asks none, so that none was started
        elif urls:
            facts = {"model": model or "as served", "endpoint": "url"}
        else:
            model = str(config.llm)
            facts = {"model": model, "endpoint": "inference-providers"}
        local = config.student == LOCAL
        student, name = (services.student, services.student_name) if local else (config.student, config.student)
        return cls(urls, model, facts, student, name)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What the stages of one call of `run` share."""

    config: RunConfig
    strategy: Strategy
    task: Task
    run: RunDir
    addresses: Addresses
    launch: Launch
    observer: Observer

    @property
    def metric(self) -> str:
        """The metric that chooses the epoch and decides on convergence."""
        return metric_of(self.config, self.task)


@contextlib.contextmanager
def opened(
    config: RunConfig,
    run_dir: Path | str | None,
    services: Services | None,
    observer: Observer | None,
    *,
    trains: bool,
) -> Iterator[RunContext]:
    """Check the settings, then hold the run directory, created or opened, for the time of the block.

    Args:
        config: settings of the run.
        run_dir: folder of the run; None takes `default_run_dir(config)`.
        services: addresses of the embedded parts.
        observer: receives progress.
        trains: False if no student will be trained.

    Raises:
        S3Error: see `check` and `create_run`.
    """
    launch, services = Launch.current(), services or Services()
    task, strategy = check(config, services, trains=trains), strategy_named(config.strategy)
    addresses = Addresses.of(config, services)
    path = Path(run_dir) if run_dir else default_run_dir(config)
    if launch.first and not (path / "run.yaml").exists():  # else its settings are kept
        check_given(config, path)
    facts: dict[str, Any] = {}
    if launch.first:
        facts = {
            "strategy": config.strategy,
            "student": addresses.student_name if trains else None,
            "llm": addresses.llm_facts if strategy.asks_llm else None,
            "task": task.facts(),
            "digests": task.content_digests(),
        }
    with launch.opening(path):
        run = create_run(path, config, facts)
        if run.round(0).model.exists():  # the earlier version that trained it may have taken another metric
            config = config.model_copy(update={"metric": run.round(0).training().metric})
        if launch.first and trains and config.metric is None and is_skewed(task.label_counts):
            logger.warning("%s", skew_sentence(task))
        shown = (observer or Observer()) if launch.first else Observer()
        yield RunContext(config, strategy, task, run, addresses, launch, shown)


def check(config: RunConfig, services: Services, *, trains: bool = True) -> Task:
    """Check everything that can be checked before anything is spent, and return the task.

    Raises:
        S3Error: strategy, LLM, task, student, metric or training arguments cannot be used.
    """
    with _announced():
        return _check(config, services, trains=trains)


def check_llm(config: RunConfig, services: Services) -> None:
    """Check what can be known of the LLM's endpoint before anything is sent.

    Raises:
        ConfigError: a key, a header or a limit cannot be used.
    """
    if config.llm != LOCAL:
        addresses = Addresses.of(config, services)
        check_endpoint(addresses.llm_model, addresses.llm_urls, config.endpoint)


def _check(config: RunConfig, services: Services, *, trains: bool) -> Task:
    strategy = strategy_named(config.strategy)
    addresses = Addresses.of(config, services)
    if strategy.asks_llm and config.llm == LOCAL and not addresses.llm_urls and Launch.current().first:
        raise ConfigError(
            "llm='local' needs the embedded LLM, found that it is not running; call s3_hf.run, which starts it, or "
            "set llm to a URL or a model id"
        )
    if strategy.asks_llm:
        check_llm(config, services)
    if config.add_data and not config.rounds:
        raise ConfigError("add_data is the first round after the seed, so rounds must be 1 or more, found 0; raise it")
    task = task_of(config)
    if config.contexts:
        task.contexts  # noqa: B018 - reads and caches them
    if strategy.scores_rows and (task.columns.context or task.columns.answers):
        raise ConfigError(
            f"strategy {config.strategy!r} must be used on a task that labels single texts, found {task.name!r} with "
            f"the context {task.columns.context!r}; use another strategy"
        )
    if config.synthesis.labels == "missing" and not strategy.from_mistakes:
        raise ConfigError(
            f"synthesis.labels 'missing' needs a strategy that learns from mistakes, found {config.strategy!r}; use "
            "s3, or other labels"
        )
    check_judge(config, task, trains=trains, asks=strategy.asks_llm)
    if trains:
        _check_training(config, addresses, task)
    return task


@contextlib.contextmanager
def _announced() -> Iterator[None]:
    """Say after a while what the block waits for; without a network the Hub's client waits for a minute."""
    from huggingface_hub import constants

    text = "still reading the gold data and the student; what is not on this machine comes from %s"
    timer = threading.Timer(PATIENCE, logger.warning, (text, constants.ENDPOINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def default_run_dir(config: RunConfig) -> Path:
    """Return `runs/TASK-STRATEGY-FINGERPRINT`, the same folder for the same settings."""
    return Path("runs") / f"{Path(config.task).stem}-{config.strategy}-{config.fingerprint()[:6]}"


def training_job(config: RunConfig, task: Task, addresses: Addresses, rows: Dataset) -> TrainingJob:
    """Return the training of the run's student on `rows`."""
    from s3_hf.training import TrainingJob

    return TrainingJob(
        rows=rows,
        selection=task.selection,
        columns=task.columns,
        label_names=task.label_names,
        student=addresses.student,
        student_name=addresses.student_name,
        max_length=config.training.max_length or task.config.max_length,
        stride=task.config.stride,
        metric=metric_of(config, task),
        seed=config.seed,
        settings=config.training,
    )


def _check_training(config: RunConfig, addresses: Addresses, task: Task) -> None:
    from s3_hf.scoring import check_metric
    from s3_hf.training import check_arguments, check_student, check_tuning

    if not addresses.student:
        raise ConfigError(
            "student='local' needs the embedded student, found no folder of its weights; call s3_hf.run, which finds "
            "it, or set student to a Hub id or folder"
        )
    if config.training.class_weights != "none" and not task.columns.label:
        raise ConfigError(
            f"training.class_weights {config.training.class_weights!r} needs a task with labels, found {task.name!r} "
            "with answers; leave it out"
        )
    if config.metric is not None:
        check_metric(config.metric, task.columns)
    check_arguments(config.training, metric_of(config, task))
    check_tuning(config.training)
    check_student(training_job(config, task, addresses, task.mined))
