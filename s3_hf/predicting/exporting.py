"""Students as ONNX files, 32-bit and 8-bit, in the layout that transformers.js reads."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from s3_hf.errors import ConfigError, StudentError, check_installed, one_line
from s3_hf.files import replacing
from s3_hf.predicting.student import model_folder
from s3_hf.store import ONNX_FILES, RunDir, has_onnx
from s3_hf.training import load_student

PACKAGES = ("onnx", "onnx_ir", "onnxruntime", "onnxscript")
OPSET = 18
"""ONNX operator set, which all versions of transformers.js from 3 on read."""
TOLERANCE = 1e-3
"""Largest difference of a probability of the exported student to the student's own."""
TRACED = ("a short text", "another text, which is somewhat longer than the first one")
"""Texts that the student is traced with."""
COMPARED = (("one",), (*TRACED, "a third text of this batch, the longest one of them all, with a few words more"))
"""Batches, of other sizes than the traced one, on which the outputs are compared."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A student that was exported.

    Attributes:
        folder: folder with `config.json`, the tokenizer, and `onnx/`.
        files: the 32-bit and the 8-bit file.
        difference: largest difference of a probability in 32 bits to the student's own, on a few texts.
        difference_8bit: the same in 8 bits.
    """

    folder: Path
    files: tuple[Path, ...]
    difference: float
    difference_8bit: float


def check_packages() -> None:
    """Raise LocalError if the packages that export are not installed."""
    check_installed("the export needs", "onnx", *PACKAGES)


def export(name: str, out: Path | None = None) -> Exported:
    """Write `onnx/model.onnx` and `onnx/model_quantized.onnx` of a student, and return where they are.

    Both take any number of texts of any length that the student reads. A temperature is in them, since it is in the
    student's weights.

    Args:
        name: folder of a run, for its final student or that of its best round, model folder, or Hub id.
        out: folder that gets the files, with the configuration and the tokenizer; None puts them in the student's own.

    Raises:
        LocalError: a package is missing.
        ConfigError: there is no such folder or run, and `out` is None.
        StudentError: it cannot be loaded, or its graph gives other probabilities than it does.
        StorageError: the disk is full or refuses to be written.
    """
    check_packages()
    folder = model_folder(name)
    if out is None and not Path(folder).is_dir():
        raise ConfigError(
            f"there is no folder or run {name!r}; correct the name, or for a student on the Hub name a folder for the "
            "files by --out"
        )
    model, tokenizer = load_student(folder)
    target = out or Path(folder)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        model.config.save_pretrained(out)
        tokenizer.save_pretrained(out)
    with replacing(target / Path(ONNX_FILES[0]).parent) as temporary:
        temporary.mkdir()
        files = [temporary / Path(file).name for file in ONNX_FILES]
        with _quiet():
            _write(model, tokenizer, files)
        difference, difference_8bit = (_difference(model, tokenizer, file) for file in files)
        if not difference <= TOLERANCE:
            raise StudentError(
                f"the exported student must give the probabilities of {name!r}, found others by {difference:.2g}; "
                f"transformers cannot export {type(model).__name__}, use another student"
            )
    return Exported(target, tuple(target / file for file in ONNX_FILES), difference, difference_8bit)


def export_run(run: RunDir) -> None:
    """Export the student that stands for a run into its model folder, unless it has been.

    Raises:
        S3Error: as in `export`.
    """
    check_packages()
    if not has_onnx(Path(model_folder(str(run.path)))):
        export(str(run.path))


def _write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, files: Sequence[Path]) -> None:
    """Write the model in 32 and in 8 bits, each as one file without the paths that the exporter notes in it."""
    import onnx_ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    from transformers.exporters import OnnxConfig, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer
    from transformers.exporters.configs import ExportFormat

    inputs = _inputs(model, tokenizer, TRACED)
    axes = dict.fromkeys(range(2), torch.export.Dim.DYNAMIC)
    config = OnnxConfig(opset_version=OPSET, dynamic_shapes=dict.fromkeys(inputs, axes))
    try:
        program = OnnxExporter().export(model, inputs, config).program
        quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig(per_channel=True, reduce_range=True))
        quantized = quantizer.quantize(program, inputs, ExportFormat.ONNX)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        raise StudentError(
            f"a student must be of a kind that transformers exports to ONNX, found {type(model).__name__} "
            f"({one_line(error)}); use another student"
        ) from error
    for file, each in zip(files, (program, quantized), strict=True):
        ClearMetadataAndDocStringPass()(each)
        onnx_ir.save(each, file)


def _inputs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, Any]:
    """Return the texts as tensors, as pairs for a student that reads contexts."""
    answers = type(model).__name__.endswith("ForQuestionAnswering")
    pairs = (
        [list(texts), list(reversed(texts))] if answers or getattr(model.config, "s3_pair", None) else [list(texts)]
    )
    return dict(tokenizer(*pairs, padding=True, truncation=True, return_tensors="pt"))


def _difference(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, file: Path) -> float:
    """Return the largest difference of a probability in `file` to the model's own."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    largest = 0.0
    for texts in COMPARED:
        inputs = _inputs(model, tokenizer, texts)
        with torch.no_grad():
            expected = model.eval()(**inputs, return_dict=False)
        found = session.run(None, {one.name: inputs[one.name].numpy() for one in session.get_inputs()})
        for ours, theirs in zip(expected, found, strict=True):
            apart = softmax(ours.double().numpy(), axis=1) - softmax(np.asarray(theirs, dtype=np.float64), axis=1)
            largest = max(largest, float(np.abs(apart).max()))
    return largest


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter prints, logs and warns of; it reports errors by raising."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
