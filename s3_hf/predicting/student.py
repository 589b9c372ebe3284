"""A trained student on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import pipeline

from s3_hf.predicting.labels import Labelled
from s3_hf.training import load_student


class Classifier:
    """A student from a folder or the Hub, as a `transformers` pipeline."""

    def __init__(self, name: str) -> None:
        model, tokenizer = load_student(name)
        self._pipeline = pipeline("text-classification", model=model, tokenizer=tokenizer)

    def predict(self, texts: Sequence[str]) -> list[Labelled]:
        """Return the most probable label of each text, in order."""
        found = self._pipeline(list(texts), truncation=True, batch_size=32)
        return [Labelled(str(one["label"]), float(one["score"])) for one in found]
