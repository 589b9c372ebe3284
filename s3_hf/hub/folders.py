"""The repositories of a run as folders: exactly the files that are committed to a Hub."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from s3_hf.cards import dataset_card, model_card
from s3_hf.errors import HubError
from s3_hf.files import read_json, replacing
from s3_hf.hub.audit import MAX_COPIES, Audit, audit
from s3_hf.hub.facts import dataset_facts, model_facts, provenance, run_facts
from s3_hf.hub.names import dataset_name, model_name, repo_id, without_paths
from s3_hf.hub.safety import check_folder, check_rows
from s3_hf.store import NO_WEIGHTS, RunDir, Stage, has_weights

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

logger = logging.getLogger(__name__)

DATA = "data/train-00000-of-00001.parquet"
CARD = "README.md"
RECORD = "s3/run.json"

Kind = Literal["dataset", "model"]


@dataclass(frozen=True, slots=True)
class Published:
    """A repository that now exists: `url` is its address or its folder, `commit` its head on a Hub.

    Where the push is a pull request, `commit` is the pull request's head and `pull_request` its address.
    """

    kind: Kind
    round: int
    repo: str
    url: str
    commit: str | None = None
    changed: bool = True
    pull_request: str | None = None


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a run is published.

    `license` is a licence id for the cards, None names the terms of gold data and LLM; `private` makes private
    repositories; `create_pr` opens pull requests; `max_copies` is the share of the rows that may copy gold
    validation text.
    """

    license: str | None = None
    private: bool = False
    create_pr: bool = False
    max_copies: float = MAX_COPIES


@dataclass(frozen=True, slots=True)
class Repositories:
    """Writes the repositories of one run under one namespace into folders; `audited` covers all its rounds."""

    run: RunDir
    namespace: str
    license: str | None
    audited: Audit

    @classmethod
    def checked(cls, run: RunDir, namespace: str, options: PushOptions) -> Repositories:
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
        found = audit(run, run.union(rounds[-1].number))
        for each in rounds:
            found.check(len(run.union(each.number)), options.max_copies)
        repositories = cls(run, namespace, options.license, found)
        bare = ", ".join(str(each.number) for each in rounds if each.model.exists() and not has_weights(each.model))
        if bare:
            logger.warning(
                "the models of these rounds are left out, since they have no weights: %s; %s", bare, NO_WEIGHTS
            )
        return repositories

    def rounds(self) -> list[int]:
        """The rounds that have data."""
        return [each.number for each in self.run.rounds()]

    def has_model(self, number: int) -> bool:
        """True if the round's student is trained and scored, and its weights were kept."""
        folder = self.run.round(number)
        return folder.stage() is Stage.DONE and has_weights(folder.model)

    def dataset(self, number: int) -> str:
        """Id of the round's dataset."""
        return repo_id(self.namespace, dataset_name(self.run, number))

    def model(self, number: int) -> str:
        """Id of the round's model."""
        return repo_id(self.namespace, model_name(self.run, number))

    def write_dataset(self, number: int, folder: Path) -> None:
        """Leave the dataset repository of round `number` in the new `folder`: rows, card, record.

        Raises:
            HubError: something in it must not be published.
        """
        import pyarrow.parquet as pq

        rows = self.run.union(number)
        table = _public_table(rows.data.table, rows.features)
        check_rows(table)
        (folder / DATA).parent.mkdir(parents=True)
        pq.write_table(table, folder / DATA, use_content_defined_chunking=True, write_page_index=True)
        reports = [read_json(self.run.round(each).facts) for each in range(number + 1)]
        facts = dataset_facts(run_facts(self.run, number, rows, self.license), self.dataset(number), rows, reports)
        structure = _structure(rows.features, table, (folder / DATA).stat().st_size)
        model = self.model(number) if self.has_model(number) else None
        quality = self.audited.quality(len(rows))
        card = dataset_card(dataclasses.replace(facts, structure=structure, model=model, quality=quality))
        figures = {"quality": dataclasses.asdict(quality)} if quality else {}
        _finish(folder, card, provenance(self.run, number) | figures)

    def write_model(self, number: int, folder: Path, revision: str | None = None) -> None:
        """Leave the model repository of round `number` in the new `folder`: model files, card, record.

        Args:
            number: the round.
            folder: where to write; must not exist.
            revision: commit of the round's dataset, None if it is not on a Hub.

        Raises:
            HubError: something in it must not be published.
        """
        source = self.run.round(number).model
        training = without_paths(read_json(source / "training.json"))
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("training.json"))
        dataset, rows = self.dataset(number), self.run.union(number)
        facts = model_facts(
            run_facts(self.run, number, rows, self.license), self.model(number), dataset, rows, training
        )
        later = self.model(number + 1) if self.has_model(number + 1) else None
        card = model_card(dataclasses.replace(facts, revision=revision, new_version=later))
        trained_on = {"dataset": {"repo": dataset, "revision": revision}, "training": training}
        _finish(folder, card, provenance(self.run, number) | trained_on)


def write_folders(
    run: RunDir,
    to: Path,
    namespace: str = "local",
    options: PushOptions | None = None,
) -> list[Published]:
    """Leave each round's repositories as `to/datasets/NAMESPACE/NAME` and `to/models/NAMESPACE/NAME`.

    `load_dataset(FOLDER)` and `from_pretrained(FOLDER)` read them. Each folder appears whole, in place of
    an earlier one.

    Raises:
        HubError: the run has no finished round, or holds what must not be published.
        StorageError: the disk is full or refuses to be written.
    """
    repositories = Repositories.checked(run, namespace, options or PushOptions())
    written: list[Published] = []
    for number in repositories.rounds():
        folder = to / "datasets" / repositories.dataset(number)
        with replacing(folder) as temporary:
            repositories.write_dataset(number, temporary)
        written.append(Published("dataset", number, repositories.dataset(number), str(folder)))
        if repositories.has_model(number):
            folder = to / "models" / repositories.model(number)
            with replacing(folder) as temporary:
                repositories.write_model(number, temporary)
            written.append(Published("model", number, repositories.model(number), str(folder)))
    return written


def card_hash(card: str) -> str:
    """Hex sha256 of a generated card, by which an edited one is told from it."""
    return hashlib.sha256(card.encode()).hexdigest()


def _finish(folder: Path, card: str, record: Mapping[str, Any]) -> None:
    import json

    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / RECORD).parent.mkdir()
    text = json.dumps({**record, "card_sha256": card_hash(card)}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")
    check_folder(folder)


def _public_table(table: pa.Table, features: Features) -> pa.Table:
    """The rows with their features in the schema; an LLM that is named by a path keeps its file name only."""
    import pyarrow.compute as pc

    place = table.column_names.index("s3_model")
    names = pc.replace_substring_regex(table["s3_model"], r"^(/|~|\.{1,2}/|[A-Za-z]:\\).*[/\\]", "")
    schema = features.arrow_schema
    return table.set_column(place, schema.field(place), names).replace_schema_metadata(schema.metadata)


def _structure(features: Features, table: pa.Table, file_size: int) -> dict[str, Any]:
    """The front matter by which `load_dataset` finds the rows and knows their features."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    splits = SplitDict()
    splits.add(SplitInfo("train", num_bytes=table.nbytes, num_examples=table.num_rows))
    info = DatasetInfo(features=features, splits=splits, download_size=file_size, dataset_size=table.nbytes)
    data = DatasetCardData()
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    MetadataConfigs({"default": {"data_files": [{"split": "train", "path": "data/train-*"}]}}).to_dataset_card_data(
        data
    )
    return {name: value for name, value in vars(data).items() if name in ("dataset_info", "configs")}
