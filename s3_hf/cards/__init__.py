"""Cards: facts -> card text, without any input or output."""

from s3_hf.cards.facts import DatasetFacts, Figure, ModelFacts, RoundFacts, RunFacts, Sample
from s3_hf.cards.rendering import END, dataset_card, model_card, space_card

__all__ = [
    "END",
    "DatasetFacts",
    "Figure",
    "ModelFacts",
    "RoundFacts",
    "RunFacts",
    "Sample",
    "dataset_card",
    "model_card",
    "space_card",
]
