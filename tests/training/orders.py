"""Run by the launcher in several processes: each writes the rows that it is given in two epochs."""

import json
import os
import sys
from pathlib import Path

import torch

from s3_hf.training.loading import fresh_student
from s3_hf.training.trainer import trainer_of
from tests.training.test_training import job


def main(student: str, folder: Path) -> None:
    """Draw differently in each process, as dropout does, and write the rows of two epochs."""
    rank = int(os.environ["RANK"])
    one = job(student)
    model, tokenizer = fresh_student(one)
    trainer, _ = trainer_of(one, folder / "work", tokenizer, one.settings.batch_size, model=model)
    loader = trainer.get_train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append([row for batch in loader for row in batch["input_ids"].tolist()])
        torch.rand(1 + rank)
    (folder / f"{rank}.json").write_text(json.dumps(epochs))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
