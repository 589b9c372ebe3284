"""Fine-tune the student with HF `Trainer`: `fit(job, out)` -> model folder, `predict(folder, rows)` -> predictions.

A `Head` holds what differs between kinds of task: `labels` classifies texts or pairs, `spans` finds answers.
"""

from s3_hf.training.arguments import check_arguments, precision
from s3_hf.training.averaging import average
from s3_hf.training.calibration import calibrate, scaled, temperature_of
from s3_hf.training.fit import fit
from s3_hf.training.inference import LoadedStudent
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import check_student, count_inputs, head_of, load_student
from s3_hf.training.memory import with_smaller_batches
from s3_hf.training.predict import predict, predict_with
from s3_hf.training.tuning import check_tuning, tune

__all__ = [
    "LoadedStudent",
    "OnStep",
    "TrainingJob",
    "average",
    "calibrate",
    "check_arguments",
    "check_student",
    "check_tuning",
    "count_inputs",
    "fit",
    "head_of",
    "load_student",
    "precision",
    "predict",
    "predict_with",
    "scaled",
    "temperature_of",
    "tune",
    "with_smaller_batches",
]
