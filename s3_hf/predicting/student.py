"""A trained student on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, StudentError
from s3_hf.files import temporary_folder
from s3_hf.predicting.result import Result
from s3_hf.records import Columns
from s3_hf.store import best_round, open_run
from s3_hf.training import load_student, predict_with


class Student:
    """A student from a folder or the Hub; its config decides whether it classifies texts or pairs, or finds answers.

    Args:
        name: folder or Hub id; the folder of a run stands for its final student, else for that of its best round.

    Raises:
        StudentError: there is no such model, or it is of another kind.
    """

    def __init__(self, name: str) -> None:
        name = model_folder(name)
        self._name = name
        self._model, self._tokenizer = load_student(name)
        self._answers = type(self._model).__name__.endswith("ForQuestionAnswering")
        self._reads_contexts: bool | None = self._answers or getattr(self._model.config, "s3_pair", None)

    def predict(self, texts: Sequence[str], contexts: Sequence[str] | None = None) -> list[Result]:
        """Return the most probable label of each text or pair, or the answer to each question, in order.

        Raises:
            ConfigError: it was trained with contexts and there are none, or the reverse.
        """
        if self._reads_contexts is not None and self._reads_contexts is (contexts is None):
            wants, found = ("a context with each", "none") if self._reads_contexts else ("no contexts", "some")
            raise ConfigError(
                f"the model {self._name!r} was trained on texts with {wants}, found {found}; see --context and "
                "--context-column"
            )
        columns = Columns(
            "text",
            label=None if self._answers else "label",
            context=None if contexts is None else "context",
            answers="answers" if self._answers else None,
        )
        inputs = {"text": list(texts)} | ({} if contexts is None else {"context": list(contexts)})
        rows, settings = datasets.Dataset.from_dict(inputs), TrainingConfig(precision="fp32")
        with temporary_folder() as work:
            predictions = predict_with(self._model, self._tokenizer, rows, columns, settings, work)
        if self._answers:
            return [Result("answer", str(one.value), max(one.scores)) for one in predictions]
        names = self._model.config.id2label
        return [Result("label", str(names[one.value]), max(one.scores)) for one in predictions]


def model_folder(name: str) -> str:
    """Return the folder of the final student of a run, or of its best round's; a name of no run is returned as it is.

    Raises:
        StudentError: no round is finished.
    """
    if not (Path(name) / "run.yaml").is_file():
        return name
    run = open_run(Path(name))
    if run.final.complete:
        return str(run.final.model)
    if not (rounds := run.results()):
        raise StudentError(f"a run must have a finished round to predict, found none in {name!r}; run it on")
    return str(best_round(rounds).model_dir)
