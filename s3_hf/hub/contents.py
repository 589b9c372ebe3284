"""The files of a repository: rows or model, card, record."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.cards import Figure
from s3_hf.errors import HubError
from s3_hf.hub.privacy import public_names
from s3_hf.hub.secrets import Secrets
from s3_hf.store import ONNX_FILES

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetInfo

DATA = "data/train-00000-of-00001.parquet"
CARD = "README.md"
RECORD = "s3/run.json"
INDEX = "model.safetensors.index.json"

_MODEL_FILES = re.compile(
    r"(generation_)?config\.json|model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?|added_tokens\.json|"
    r"tokenizer(_config)?\.json|special_tokens_map\.json|vocab\.(json|txt)|merges\.txt|bpe\.codes|"
    r"(spiece|spm|tokenizer|sentencepiece(\.bpe)?)\.model"
)
"""Names that transformers gives to the files of a model without code, and of its tokenizer."""


def write_rows(rows: Dataset, others: Mapping[str, Dataset], folder: Path, secrets: Secrets) -> dict[str, Any]:
    """Write the rows to the new `folder`, and return the front matter by which `load_dataset` knows them.

    An LLM that is named by a path keeps its file name only.

    Args:
        rows: the configuration `default`.
        others: further configurations by name.
        folder: folder of the repository.
        secrets: what no row may hold.

    Raises:
        HubError: a row holds a secret or a home path.
    """
    from datasets import DatasetInfo, SplitDict, SplitInfo

    infos, patterns = {}, {}
    for name, each in {"default": rows, **others}.items():
        file = DATA if name == "default" else f"{name}/{Path(DATA).name}"
        table = _table(each)
        secrets.check_rows(table)
        size, splits = _write_table(table, folder / file), SplitDict()
        splits.add(SplitInfo("train", num_bytes=table.nbytes, num_examples=table.num_rows))
        infos[name] = DatasetInfo(features=each.features, splits=splits, download_size=size, dataset_size=table.nbytes)
        patterns[name] = {"data_files": [{"split": "train", "path": f"{Path(file).parent}/train-*"}]}
    return _structure(infos, patterns)


def write_figures(figures: Iterable[Figure], folder: Path) -> None:
    """Write the figures to the folder `figures` of a repository's `folder`."""
    for each in figures:
        path = folder / "figures" / f"{each.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.png)


def copy_model(model: Path, folder: Path) -> None:
    """Copy the files that s3-hf wrote of a trained model to the new `folder`.

    Its `training.json` is not among them: the record holds it.
    """
    folder.mkdir(parents=True)
    for path in _all_files(model):
        if _is_ours(path, model):
            target = folder / path.relative_to(model)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)


def stray_files(model: Path) -> Iterator[str]:
    """Yield the names of the files and links in a model folder that s3-hf did not write."""
    names = ((path.relative_to(model).as_posix(), _is_ours(path, model)) for path in sorted(_all_files(model)))
    return (name for name, ours in names if not ours and name != "training.json")


def check_weights(model: Path) -> None:
    """Return if each file of weights in a model folder is whole, and all files that its index names are there.

    Raises:
        HubError: one is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    names = {path.name for path in model.glob("*.safetensors") if _is_ours(path, model)}
    try:
        if (model / INDEX).exists():
            names |= {
                str(name) for name in json.loads((model / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
            }
        if not names:
            raise LookupError("none is a plain file")
        for name in sorted(names):
            with safe_open(model / name, framework="numpy"):
                pass  # opening compares the header with the length of the file
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise HubError(
            f"the weights in {str(model)!r} must be whole to be published, found them damaged ({error}); restore "
            "them, or delete that folder and run again, which trains the round anew"
        ) from error


def write_texts(folder: Path, card: str, record: Mapping[str, Any], secrets: Secrets) -> None:
    """Write card and record beside the rows or the model, and check every file in the folder.

    Raises:
        HubError: a file must not be published.
    """
    (folder / CARD).write_text(card, encoding="utf-8", newline="\n")
    (folder / RECORD).parent.mkdir()
    text = json.dumps({**record, "card_sha256": card_hash(card)}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8", newline="\n")
    secrets.check_folder(folder)


def card_hash(card: str) -> str:
    """Return the hex sha256 of a generated card, which differs from that of an edited one."""
    return hashlib.sha256(card.encode()).hexdigest()


def _all_files(model: Path) -> Iterator[Path]:
    """Yield all that is in a model folder, and what is in its folder of ONNX files instead of that folder."""
    inner = model / Path(ONNX_FILES[0]).parent
    for path in model.iterdir():
        yield from path.iterdir() if path == inner and path.is_dir() and not path.is_symlink() else [path]


def _is_ours(path: Path, model: Path) -> bool:
    name = path.relative_to(model).as_posix()
    ours = name in ONNX_FILES or bool(_MODEL_FILES.fullmatch(name))
    return ours and path.is_file() and not path.is_symlink()


def _table(rows: Dataset) -> pa.Table:
    table, schema = rows.data.table, rows.features.arrow_schema
    if "s3_model" in table.column_names:
        place = table.column_names.index("s3_model")
        table = table.set_column(place, schema.field(place), public_names(table["s3_model"]))
    return table.replace_schema_metadata(schema.metadata)


def _write_table(table: pa.Table, path: Path) -> int:
    """Write a Parquet file, and return its size in bytes."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True)
    pq.write_table(table, path, use_content_defined_chunking=True, write_page_index=True)
    return path.stat().st_size


def _structure(infos: Mapping[str, DatasetInfo], patterns: Mapping[str, Any]) -> dict[str, Any]:
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    data = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(data)
    MetadataConfigs(patterns).to_dataset_card_data(data)
    return {name: value for name, value in vars(data).items() if name in ("dataset_info", "configs")}
