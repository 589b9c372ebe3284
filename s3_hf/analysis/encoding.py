"""Encodings of texts by an encoder, for similarity and for the map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s3_hf.training.folders import bounded, checked_folder, student_errors
from s3_hf.training.loading import silence_transformers

BATCH = 64
MAX_TOKENS = 256
"""Tokens of a text that are encoded."""
MAX_INPUT = 512
"""Tokens of a text that are counted: the longest input of DistilBERT."""

Encodings = npt.NDArray[np.float32]


def tokenized(texts: Sequence[str], encoder: str) -> list[list[int]]:
    """Return the token ids of each text as the encoder reads it: with special tokens, cut to its longest input.

    Raises:
        StudentError: the tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    with student_errors(encoder):
        folder, _ = checked_folder(encoder)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    longest = min(MAX_INPUT, tokenizer.model_max_length)
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    return ids


def encode(texts: Sequence[str], encoder: str) -> Encodings:
    """Return the mean of the last hidden states of each text's tokens, of length 1: float32, (texts, dimensions).

    Args:
        texts: texts in any order; the first `MAX_TOKENS` tokens of each count.
        encoder: folder or Hub id of an encoder with its tokenizer, pretrained or a trained student.

    Raises:
        StudentError: it cannot be loaded.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    silence_transformers()  # a student's head is not used, which is no fault
    with student_errors(encoder):
        folder, stored = checked_folder(encoder)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        with bounded(encoder, stored):
            model = AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).eval()
    longest = min(MAX_TOKENS, tokenizer.model_max_length, model.config.max_position_embeddings)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            inputs = tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            states = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None]
            means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            found[places] = torch.nn.functional.normalize(means, dim=-1).numpy()
    return found
