"""The repositories of a run: which there are, and a walk over them that folders, push and dry run share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from s3_hf.cards import dataset_card, model_card
from s3_hf.errors import HubError
from s3_hf.hub.audit import MAX_COPIES, Audit, audit
from s3_hf.hub.contents import copy_model, write_rows, write_texts
from s3_hf.hub.facts import dataset_facts, model_facts, provenance, round_reports, run_facts, training_facts
from s3_hf.hub.names import Repository, dataset_repository, model_repository
from s3_hf.store import NO_WEIGHTS, RunDir, Stage, has_weights

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a run is published.

    `license` is a licence id for the cards, None names the terms of gold data and LLM; `private` creates private
    repositories; `create_pr` opens pull requests; `max_copies` is the share of the rows that may copy gold
    validation text.
    """

    license: str | None = None
    private: bool = False
    create_pr: bool = False
    max_copies: float = MAX_COPIES


@dataclass(frozen=True, slots=True)
class RunRepositories:
    """The repositories of one run under one namespace; `audited` covers the rows of all its rounds."""

    run: RunDir
    namespace: str
    license: str | None
    audited: Audit

    @classmethod
    def checked(cls, run: RunDir, namespace: str, options: PushOptions) -> RunRepositories:
        """Return the repositories of a run whose rows may be published.

        Raises:
            HubError: the run has no finished round, or its rows hold too much gold text.
        """
        rounds = run.rounds()
        if not rounds:
            raise HubError(
                f"a run must have a finished round to be published, found none in {str(run.path)!r}; "
                "run it until the first round is complete"
            )
        audited = audit(run, run.union(rounds[-1].number))
        for each in rounds:
            audited.check(len(run.union(each.number)), options.max_copies)
        bare = ", ".join(str(each.number) for each in rounds if each.model.exists() and not has_weights(each.model))
        if bare:
            logger.warning(
                "the models of these rounds are left out, since they have no weights: %s; %s", bare, NO_WEIGHTS
            )
        return cls(run, namespace, options.license, audited)

    def rounds(self) -> list[int]:
        """Return the numbers of the rounds whose rows are complete."""
        return [each.number for each in self.run.rounds()]

    def walk(self, number: int, visit: Callable[[Repository, str | None], tuple[T, str | None]]) -> list[T]:
        """Visit the repositories of a round, its dataset before its model, and return what the visits returned.

        Args:
            number: the round.
            visit: takes a repository and the commit of the round's dataset, which is None for the dataset itself
                and where it is not on a Hub; returns a result and the repository's commit.
        """
        dataset = dataset_repository(self.run, self.namespace, number)
        result, commit = visit(dataset, None)
        model = self._model(number)
        return [result, visit(model, commit)[0]] if model else [result]

    def write(self, repository: Repository, folder: Path, dataset_commit: str | None = None) -> None:
        """Write the files of a repository to `folder`, which must not exist: rows or model, card, record.

        Raises:
            HubError: a file must not be published.
        """
        run, number = self.run, repository.round
        rows, record = run.union(number), provenance(run, number)
        facts = run_facts(run, number, rows, self.license)
        if repository.type == "dataset":
            structure, model = write_rows(rows, folder), self._model(number)
            quality = self.audited.quality(len(rows))
            data = dataset_facts(facts, repository.id, rows, round_reports(run, number))
            data = replace(data, structure=structure, model=model.id if model else None, quality=quality)
            write_texts(folder, dataset_card(data), record | ({"quality": asdict(quality)} if quality else {}))
            return
        copy_model(run.round(number).model, folder)
        dataset, later = dataset_repository(run, self.namespace, number).id, self._model(number + 1)
        training = training_facts(run, number)
        card = model_facts(facts, repository.id, dataset, rows, training)
        card = replace(card, revision=dataset_commit, new_version=later.id if later else None)
        trained_on = {"dataset": {"repo": dataset, "revision": dataset_commit}, "training": training}
        write_texts(folder, model_card(card), record | trained_on)

    def _model(self, number: int) -> Repository | None:
        """Return the model repository of a round whose student is scored and has its weights, else None."""
        folder = self.run.round(number)
        if folder.stage() is Stage.DONE and has_weights(folder.model):
            return model_repository(self.run, self.namespace, number)
        return None
