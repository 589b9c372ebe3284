"""The files of a repository: rows or model, card, record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.hub.privacy import check_folder, check_rows, public_names

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

DATA = "data/train-00000-of-00001.parquet"
CARD = "README.md"
RECORD = "s3/run.json"


def write_rows(rows: Dataset, folder: Path) -> dict[str, Any]:
    """Write the rows to the new `folder`, and return the front matter by which `load_dataset` knows them.

    An LLM that is named by a path keeps its file name only.

    Raises:
        HubError: a row holds a token or a home path.
    """
    import pyarrow.parquet as pq

    table, schema = rows.data.table, rows.features.arrow_schema
    place = table.column_names.index("s3_model")
    table = table.set_column(place, schema.field(place), public_names(table["s3_model"]))
    table = table.replace_schema_metadata(schema.metadata)
    check_rows(table)
    path = folder / DATA
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, use_content_defined_chunking=True, write_page_index=True)
    return _structure(rows.features, table, path.stat().st_size)


def copy_model(model: Path, folder: Path) -> None:
    """Copy a trained model to the new `folder`, without its `training.json`, which the record holds."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("training.json"))


def write_texts(folder: Path, card: str, record: Mapping[str, Any]) -> None:
    """Write card and record beside the rows or the model, and check every file in the folder.

    Raises:
        HubError: a file must not be published.
    """
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / RECORD).parent.mkdir()
    text = json.dumps({**record, "card_sha256": card_hash(card)}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")
    check_folder(folder)


def card_hash(card: str) -> str:
    """Return the hex sha256 of a generated card, which differs from that of an edited one."""
    return hashlib.sha256(card.encode()).hexdigest()


def _structure(features: Features, table: pa.Table, file_size: int) -> dict[str, Any]:
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
