"""Load students from a folder or the Hub, pretrained or trained; safetensors only, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from s3_hf.errors import StudentError
from s3_hf.records import Columns
from s3_hf.store import NO_WEIGHTS, has_weights
from s3_hf.training.heads import Head
from s3_hf.training.job import TrainingJob
from s3_hf.training.labels import LabelHead
from s3_hf.training.spans import STRIDE, SpanHead

HEADS: tuple[type[LabelHead] | type[SpanHead], ...] = (LabelHead, SpanHead)


def check_student(name: str) -> None:
    """Raise StudentError unless `name` is a model that `transformers` knows; only its config is loaded."""
    try:
        AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _no_student(name, error) from error


def fresh_student(job: TrainingJob) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the pretrained encoder with a new head for the job, and its tokenizer.

    They are saved with all that prediction needs: the tokenizer's `model_max_length`, and in the config the labels
    and `s3_pair`, or `s3_stride`.

    Raises:
        StudentError: the encoder cannot be loaded.
    """
    names = job.label_names or ("start", "end")
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.student, trust_remote_code=False)
        config = AutoConfig.from_pretrained(
            job.student,
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
            problem_type="single_label_classification"
            if job.label_names
            else None,  # not what the encoder's config says
            trust_remote_code=False,
        )
        model, loading = _from_pretrained(
            _head_class(job.columns).auto_model,
            job.student,
            config=config,
            ignore_mismatched_sizes=True,  # replace a head for other labels
            output_loading_info=True,
        )
        prefix = model.base_model_prefix + "."
        if wrong := [key for key, *_ in loading["mismatched_keys"] if key.startswith(prefix)]:
            raise ValueError(f"the weights {wrong[0]!r} have another shape than its config says")
    except (OSError, ValueError) as error:
        raise _no_student(job.student, error) from error
    tokenizer.model_max_length = min(job.max_length, _input_limit(model, tokenizer))
    if job.columns.answers:
        model.config.s3_stride = SpanHead(job.columns, tokenizer, job.stride).overlap
    else:
        model.config.s3_pair = job.columns.context is not None
    return model, tokenizer


def load_student(name: str, columns: Columns | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a trained student and its tokenizer, from a folder or the Hub.

    Args:
        name: folder or Hub id.
        columns: columns of the task that it must be trained for; None accepts either kind of student.

    Raises:
        StudentError: the model does not exist, is of another kind, or its weights were deleted.
    """
    if (Path(name) / "training.json").is_file() and not has_weights(Path(name)):
        raise StudentError(f"the model {name!r} must have weights, found none; {NO_WEIGHTS}")
    heads = HEADS if columns is None else (_head_class(columns),)
    try:
        found = AutoConfig.from_pretrained(name, trust_remote_code=False).architectures or ["no architecture"]
        matching = [head for head in heads if found[0].endswith(head.architecture)]
        if not matching:
            wanted = " or ".join(f"...{head.architecture}" for head in heads)
            raise StudentError(
                f"the model {name!r} must be {wanted} to be used here, found {found[0]}; name a model that was "
                "trained for this kind of task"
            )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = _from_pretrained(matching[0].auto_model, name)
    except (OSError, ValueError) as error:
        raise _no_student(name, error) from error
    tokenizer.model_max_length = _input_limit(model, tokenizer)
    return model, tokenizer


def head_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, columns: Columns) -> Head:
    """Return the head that encodes rows with these columns for the model."""
    if columns.answers:
        return SpanHead(columns, tokenizer, getattr(model.config, "s3_stride", STRIDE))
    return LabelHead(columns, tokenizer)


def _head_class(columns: Columns) -> type[LabelHead] | type[SpanHead]:
    return SpanHead if columns.answers else LabelHead


def _from_pretrained(auto_model: Any, name: str, **more: Any) -> Any:
    return auto_model.from_pretrained(name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, **more)


def _input_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the tokens that the model can read; some tokenizers claim a number far beyond it."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(positions, tokenizer.model_max_length))


def _no_student(name: str, error: Exception) -> StudentError:
    detail = str(error).strip().splitlines()[0][:200]
    return StudentError(
        f"the student must be an encoder with safetensors weights on the Hub or in a folder, found {name!r} "
        f"({detail}); check the name, HF_ENDPOINT and your access"
    )
