"""Load students from a folder or the Hub, pretrained or trained; safetensors only, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from s3_hf.errors import StudentError
from s3_hf.records import Columns
from s3_hf.training.folders import bounded, checked_folder, no_student, student_errors
from s3_hf.training.heads import Head
from s3_hf.training.job import TrainingJob
from s3_hf.training.labels import LabelHead
from s3_hf.training.spans import STRIDE, SpanHead

HEADS: tuple[type[LabelHead] | type[SpanHead], ...] = (LabelHead, SpanHead)

CHECKED_ROWS, CHECKED_TEXTS = 2, 50
"""Rows whose outputs a check computes, and rows whose words it looks up."""
LONG_WORDS = 512
"""Times that a text is repeated to fill an input."""
MOST_UNKNOWN = 0.9
"""Share of unknown words from which on a tokenizer does not fit the rows."""


def check_student(job: TrainingJob) -> None:
    """Check that the job's student can be trained: load it and compute its outputs for the first rows of the job.

    Raises:
        StudentError: it cannot be loaded, or a part of it does not fit the others or the rows.
        ConfigError: `max_length` is too short for the rows.
        StorageError: its files cannot be stored in the cache.
    """
    with student_errors(job.student):
        model, tokenizer = fresh_student(job)
        _check_words(job, tokenizer)
        long = job.columns.context or job.columns.text
        rows = job.rows.select(range(min(CHECKED_ROWS, len(job.rows))))
        texts = rows[long][:]
        texts[-1] = " ".join([texts[-1]] * LONG_WORDS)  # as long as an input can be
        rows = rows.remove_columns(long).add_column(long, texts)
        inputs = head_of(model, tokenizer, job.columns).encode(rows, targets=False).inputs
        names = [name for name in inputs.column_names if name != "length"]
        _compute(model, tokenizer, {name: inputs[name][:CHECKED_ROWS] for name in names})


def fresh_student(job: TrainingJob) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the pretrained encoder with a new head for the job, and its tokenizer.

    They are saved with all that prediction needs: the tokenizer's `model_max_length`, and in the config the labels
    and `s3_pair`, or `s3_stride`.

    Raises:
        StudentError: the encoder cannot be loaded.
    """
    silence_transformers()
    names = job.label_names or ("start", "end")
    with student_errors(job.student):
        folder, stored = checked_folder(job.student)
        tokenizer = _tokenizer(job.student, folder)
        config = AutoConfig.from_pretrained(
            folder,
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
            problem_type="single_label_classification"
            if job.label_names
            else None,  # not what the encoder's config says
            trust_remote_code=False,
        )
        with bounded(job.student, stored):
            model, loading = _from_pretrained(
                _head_class(job.columns).auto_model,
                folder,
                config=config,
                ignore_mismatched_sizes=True,  # replace a head for other labels
            )
        prefix = model.base_model_prefix + "."
        if wrong := [key for key, *_ in loading["mismatched_keys"] if key.startswith(prefix)]:
            raise ValueError(f"the weights {wrong[0]!r} have another shape than its config says")
        encoder = [key for key, _ in model.named_parameters() if key.startswith(prefix)]
        if 2 * len([key for key in loading["missing_keys"] if key.startswith(prefix)]) > len(encoder):
            raise ValueError("its weights are not those of the model that its config describes")
        _fit_together(job.student, model, tokenizer)
    tokenizer.model_max_length = min(job.max_length, _input_limit(model, tokenizer))
    if job.columns.answers:
        model.config.s3_stride = SpanHead(job.columns, tokenizer, job.stride).overlap
    else:
        model.config.s3_pair = job.columns.context is not None
    return model, tokenizer


def count_inputs(job: TrainingJob) -> int:
    """Return the inputs of the model that the rows of a job become: windows of long contexts, else one for each row.

    No weights are loaded.

    Raises:
        StudentError: the student's config or tokenizer cannot be loaded.
    """
    if not job.columns.answers or not len(job.rows):
        return len(job.rows)
    with student_errors(job.student):
        folder, _ = checked_folder(job.student)
        tokenizer = _tokenizer(job.student, folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            shape = SpanHead.auto_model.from_config(config)
    tokenizer.model_max_length = min(job.max_length, _input_limit(shape, tokenizer))
    return SpanHead(job.columns, tokenizer, job.stride).count(job.rows)


def load_student(name: str, columns: Columns | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a trained student and its tokenizer, from a folder or the Hub.

    Args:
        name: folder or Hub id.
        columns: columns of the task that it must be trained for; None accepts either kind of student.

    Raises:
        StudentError: the model does not exist, is of another kind, is damaged, or its weights were deleted.
        StorageError: its files cannot be stored in the cache.
    """
    silence_transformers()
    heads = HEADS if columns is None else (_head_class(columns),)
    with student_errors(name):
        folder, stored = checked_folder(name)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        found = config.architectures or ["no architecture"]
        matching = [head for head in heads if str(found[0]).endswith(head.architecture)]
        if not matching:
            wanted = " or ".join(f"...{head.architecture}" for head in heads)
            raise StudentError(
                f"the model {name!r} must be {wanted} to be used here, found {found[0]}; name a model that was "
                "trained for this kind of task"
            )
        tokenizer = _tokenizer(name, folder)
        with bounded(name, stored):
            model, loading = _from_pretrained(matching[0].auto_model, folder, config=config)
        if loading["missing_keys"]:
            raise ValueError(f"its weights lack {min(loading['missing_keys'])!r}")
        _fit_together(name, model, tokenizer)
        tokenizer.model_max_length = _input_limit(model, tokenizer)
        inputs = tokenizer(["a text", "a longer text"], truncation=True, max_length=tokenizer.model_max_length)
        logits = _compute(model, tokenizer, dict(inputs))[0]
        labels = config.id2label
        if matching[0] is LabelHead and (
            sorted(labels) != [*range(logits.shape[-1])] or not all(isinstance(each, str) for each in labels.values())
        ):
            raise ValueError(f"its config must name each of {logits.shape[-1]} labels in id2label")
    return model, tokenizer


def silence_transformers() -> None:
    """Turn off the warnings and progress bars of `transformers` for the rest of the process."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def head_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, columns: Columns) -> Head:
    """Return the head that encodes rows with these columns for the model."""
    if columns.answers:
        return SpanHead(columns, tokenizer, getattr(model.config, "s3_stride", STRIDE))
    return LabelHead(columns, tokenizer)


def _head_class(columns: Columns) -> type[LabelHead] | type[SpanHead]:
    return SpanHead if columns.answers else LabelHead


def _from_pretrained(auto_model: Any, folder: Path, **more: Any) -> Any:
    return auto_model.from_pretrained(
        folder,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        **more,
    )


def _tokenizer(name: str, folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder; where it cannot pad, it pads with its end token, which the mask hides."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise no_student(name, "it has no tokenizer", "save the tokenizer of the same model in its folder")
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise no_student(name, "its tokenizer has no padding token and no end token", "set its pad_token")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _fit_together(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give the model the padding token of the tokenizer if it has none, and check that each token has an embedding."""
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    rows, last = model.get_input_embeddings().weight.shape[0], max(tokenizer.get_vocab().values())
    if last >= rows:
        raise no_student(
            name,
            f"its tokenizer has tokens up to number {last:,}, its model {rows:,} embeddings",
            "use the tokenizer that the model was trained with",
        )


def _check_words(job: TrainingJob, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise StudentError if the tokenizer knows nearly none of the words of the job's rows."""
    texts = job.rows[job.columns.text][:CHECKED_TEXTS]
    tokens = [token for ids in tokenizer(texts, add_special_tokens=False)["input_ids"] for token in ids]
    unknown = tokens.count(tokenizer.unk_token_id)
    if unknown >= MOST_UNKNOWN * len(tokens):
        raise no_student(
            job.student,
            f"its tokenizer knows {len(tokens) - unknown} of {len(tokens)} words of the gold rows",
            "name a student for their language, with its own tokenizer",
        )


def _compute(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, inputs: dict[str, Any]) -> Any:
    """Return the outputs of the model, as a tuple, for inputs that are padded here."""
    padded = tokenizer.pad(inputs, pad_to_multiple_of=8, return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**padded, return_dict=False)


def _input_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the tokens that the model can read; some tokenizers claim a number far beyond it.

    Models like RoBERTa count positions from the number of the padding token on. Inputs are padded to a multiple of 8.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    for name, part in model.named_modules():
        padding = getattr(part, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            positions = min(positions, part.num_embeddings - padding - 1)
    return int(min(positions - positions % 8 or positions, tokenizer.model_max_length))
