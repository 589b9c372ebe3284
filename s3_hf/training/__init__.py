"""Fine-tuning the student with HF `Trainer`: `fit(job, out)` -> model folder, `predict(folder, rows)` -> predictions.

What a task's kind changes is in a `Head`: `labels` of one text or a pair, `spans` of a context.
"""

from s3_hf.training.arguments import check_arguments, precision
from s3_hf.training.fit import fit, predict, predict_with
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import check_student, head_of, load_student
from s3_hf.training.memory import in_memory
from s3_hf.training.tuning import check_tuning, tune

__all__ = [
    "OnStep",
    "TrainingJob",
    "check_arguments",
    "check_student",
    "check_tuning",
    "fit",
    "head_of",
    "in_memory",
    "load_student",
    "precision",
    "predict",
    "predict_with",
    "tune",
]
