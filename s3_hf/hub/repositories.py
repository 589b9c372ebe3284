"""The repositories of a run: which there are, and a walk over them that folders, push and dry run share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import get_token

from s3_hf.cards import Figure, dataset_card, model_card, space_card
from s3_hf.errors import HubError
from s3_hf.hub.audit import MAX_COPIES, Audit, audit
from s3_hf.hub.configurations import RejectedAnswer, configurations, rejected_answers
from s3_hf.hub.contents import check_weights, copy_model, stray_files, write_figures, write_rows, write_texts
from s3_hf.hub.facts import dataset_facts, model_facts, provenance, round_reports, run_facts, training_facts
from s3_hf.hub.names import Part, Repository, RunNames
from s3_hf.hub.privacy import without_paths
from s3_hf.hub.secrets import Secrets
from s3_hf.hub.telling import doing
from s3_hf.hub.withholding import Withheld
from s3_hf.store import NO_WEIGHTS, RunDir, Stage, has_onnx, has_weights

logger = logging.getLogger(__name__)

T = TypeVar("T")
Visit = Callable[[Repository, str | None], tuple[T, str | None]]
"""Takes a repository and the commit of its dataset, which is None for a dataset itself and where it is not on a Hub;
returns a result and the repository's commit."""
Figures = Callable[[Repository], tuple[Figure, ...]]
"""Draws the figures of a repository's card."""


def no_figures(_: Repository) -> tuple[Figure, ...]:
    """Return none."""
    return ()


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a run is published.

    `license` is a licence id for the cards, None names the terms of gold data and LLM; `private` creates private
    repositories; `create_pr` opens pull requests; `max_copies` is the share of the rows that may copy gold
    validation text. The names of the repositories begin with `name`, None for STRATEGY-TASK; `replace` writes over
    those of another run. `figures` returns what draws the figures of a run's cards; without it the cards have none.
    `page` returns the HTML of a run's page, without the texts that are withheld, which is published as a static Space;
    without it there is no Space.
    """

    license: str | None = None
    private: bool = False
    create_pr: bool = False
    max_copies: float = MAX_COPIES
    name: str | None = None
    replace: bool = False
    figures: Callable[[RunDir], Figures] | None = None
    page: Callable[[RunDir, Withheld], str] | None = None


@dataclass(frozen=True, slots=True)
class RunRepositories:
    """The repositories of one run.

    `audited` covers the rows of all its rounds; `rejected` and the HTML of the `page` hold no gold text.
    """

    run: RunDir
    names: RunNames
    license: str | None
    audited: Audit
    secrets: Secrets
    rejected: tuple[RejectedAnswer, ...]
    figures: Figures
    page: str | None

    @classmethod
    def checked(
        cls, run: RunDir, namespace: str, options: PushOptions, secrets: Secrets | None = None
    ) -> RunRepositories:
        """Return the repositories of a run whose rows and models may be published.

        Raises:
            HubError: the run has no finished round, its rows hold too much gold text, a model is damaged, or a file
                stands outside the run directory.
        """
        names, rounds = RunNames.of(run, namespace, options.name), run.rounds()
        if not rounds:
            raise HubError(
                f"a run must have a finished round to be published, found none in {str(run.path)!r}; "
                "run it until the first round is complete"
            )
        for each in rounds:
            _check_place(run, each.data)
            _check_model(run, each.model)
        _check_model(run, run.final.model)
        with doing("comparing the rows with the gold data"):
            audited = audit(run, run.union(rounds[-1].number))
        for each in rounds:
            audited.check(len(run.union(each.number)), options.max_copies)
        bare = ", ".join(str(each.number) for each in rounds if each.model.exists() and not has_weights(each.model))
        if bare:
            logger.warning(
                "the models of these rounds are left out, since they have no weights: %s; %s", bare, NO_WEIGHTS
            )
        secrets = secrets or Secrets.of(run.config, get_token())
        figures = options.figures(run) if options.figures else no_figures
        withheld = Withheld(run, secrets)
        rejected, page = rejected_answers(run, withheld), None
        if options.page:
            with doing("writing the page for publication"):
                page = options.page(run, withheld)
                withheld.check_page(page)
        return cls(run, names, options.license, audited, secrets, rejected, figures, page)

    def parts(self) -> list[Part]:
        """Return the page, the rounds whose rows are complete, and the final student, as far as they are there."""
        page: list[Part] = ["page"] if self.page is not None else []
        final = [None] if self._final() else []
        return [*page, *(each.number for each in self.run.rounds()), *final]

    def walk(self, number: Part, visit: Visit[T]) -> list[T]:
        """Visit the repositories of a round, its dataset before its model, and return what the visits returned.

        For None that is the final student, after the dataset of its round, whose result is left out: `once` keeps the
        dataset from being visited again with its round.
        """
        if number == "page":
            return [visit(self.names.page(), None)[0]]
        if number is None:
            final, dataset = self.names.final(), self.names.dataset(self.run.final.chosen().round)
            return [visit(final, visit(dataset, None)[1])[0]]
        dataset = self.names.dataset(number)
        result, commit = visit(dataset, None)
        model = self._model(number)
        return [result, visit(model, commit)[0]] if model else [result]

    def write(self, repository: Repository, folder: Path, dataset_commit: str | None = None) -> None:
        """Write the files of a repository to `folder`, which must not exist: rows or model, card, record.

        Raises:
            HubError: a file must not be published.
        """
        if repository.type == "space":
            self._write_page(folder)
            return
        if repository.round is None:
            self._write_final(folder, dataset_commit)
            return
        run, number = self.run, repository.round
        rows, record = run.union(number), provenance(run, number)
        facts, figures = run_facts(run, number, rows, self.license), self.figures(repository)
        if repository.type == "dataset":
            others, model = configurations(run, number, self.rejected), self._model(number)
            structure = write_rows(rows, others, folder, self.secrets)
            write_figures(figures, folder)
            quality = self.audited.quality(len(rows))
            data = dataset_facts(facts, repository.id, rows, round_reports(run, number))
            model_id = model.id if model else None
            data = replace(data, structure=structure, model=model_id, quality=quality, figures=figures)
            record |= {"quality": asdict(quality)} if quality else {}
            write_texts(folder, dataset_card(data), record, self.secrets)
            return
        copy_model(run.round(number).model, folder)
        write_figures(figures, folder)
        dataset, later = self.names.dataset(number).id, self._final() or self._model(number + 1)
        training = training_facts(run, number)
        card = model_facts(facts, repository.id, dataset, rows, training)
        new, onnx = later.id if later else None, has_onnx(run.round(number).model)
        card = replace(card, revision=dataset_commit, new_version=new, onnx=onnx, figures=figures)
        trained_on = {"dataset": {"repo": dataset, "revision": dataset_commit}, "training": training}
        write_texts(folder, model_card(card), record | trained_on, self.secrets)

    def _write_final(self, folder: Path, dataset_commit: str | None) -> None:
        """Write the model, the card and the record of the final student to the new `folder`."""
        run, final = self.run, self.run.final.result()
        assert final is not None
        number, verdict = final.choice.round, run.final.outcome()
        rows, dataset = run.union(number), self.names.dataset(number).id
        copy_model(final.model_dir, folder)
        figures = self.figures(self.names.final())
        write_figures(figures, folder)
        training: dict[str, Any] = without_paths(asdict(final.training))
        card = model_facts(run_facts(run, number, rows, self.license), self.names.final().id, dataset, rows, training)
        onnx = has_onnx(final.model_dir)
        card = replace(card, revision=dataset_commit, final=final, verdict=verdict, figures=figures, onnx=onnx)
        record = provenance(run, number) | {
            "dataset": {"repo": dataset, "revision": dataset_commit},
            "training": training,
            "final": asdict(final.facts) | {"choice": asdict(final.choice)},
            "verdict": asdict(verdict) if verdict else None,
        }
        write_texts(folder, model_card(card), record, self.secrets)

    def _write_page(self, folder: Path) -> None:
        """Write the page, its card and its record to the new `folder`."""
        assert self.page is not None
        run, last = self.run, self.run.rounds()[-1].number
        facts, final = run_facts(run, last, run.union(last), self.license), self._final()
        models = [final] if final else [model for model in [self._model(last)] if model]
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(self.page, encoding="utf-8", newline="\n")
        card = space_card(facts, self.names.page().id, self.names.dataset(last).id, [each.id for each in models])
        write_texts(folder, card, provenance(run, last), self.secrets)

    def _final(self) -> Repository | None:
        """Return the repository of the final student if it is scored and has its weights, else None."""
        final = self.run.final
        return self.names.final() if final.complete and has_weights(final.model) else None

    def _model(self, number: int) -> Repository | None:
        """Return the model repository of a round whose student is scored and has its weights, else None."""
        folder = self.run.round(number)
        if folder.stage() is Stage.DONE and has_weights(folder.model):
            return self.names.model(number)
        return None


def once(visit: Visit[T]) -> Visit[T]:
    """Return a visit that remembers what it returned for a repository, and does not visit it again."""
    visited: dict[Repository, tuple[T, str | None]] = {}

    def remembering(repository: Repository, commit: str | None) -> tuple[T, str | None]:
        if repository not in visited:
            visited[repository] = visit(repository, commit)
        return visited[repository]

    return remembering


def _check_place(run: RunDir, path: Path) -> None:
    """Return if the rows or the model at `path` are no link.

    Raises:
        HubError: they are.
    """
    if path.exists() and path.resolve() != run.path.resolve() / path.relative_to(run.path):
        raise HubError(
            f"{str(path)!r} must stand in the run directory to be published, found a link to "
            f"{str(path.resolve())!r}; put a copy in its place"
        )


def _check_model(run: RunDir, model: Path) -> None:
    """Return if a model may be published; warn of files that will be left out.

    Raises:
        HubError: the weights are damaged, or the model is a link.
    """
    _check_place(run, model)
    if not has_weights(model):
        return
    check_weights(model)
    if stray := ", ".join(map(repr, stray_files(model))):
        logger.warning("left out of what is published, since s3-hf did not write it in %s: %s", model, stray)
