"""What a student is worth as ONNX: files, differences, accuracy, and rows per CPU second against torch, in one run.

Each way predicts the test rows of a task, on one thread, in batches of 32 sorted by length; the three take turns.
Texts are tokenized beforehand. `OTHERS` in 8 bits are compared on accuracy alone.

    python benchmarks/exporting.py runs/quickstart --task movie_snippets --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic

from s3_hf.predicting.exporting import export
from s3_hf.predicting.student import model_folder
from s3_hf.store import ONNX_FILES, has_onnx
from s3_hf.task import GoldOptions, load_task
from s3_hf.training import load_student, softened

BATCH = 32
OTHERS = {"8 bit, per tensor": {}, "8 bit, per channel": {"per_channel": True}}


def session_of(file: Path) -> onnxruntime.InferenceSession:
    """Return a session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Export the student, and print what each way of running it costs and predicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a run or of a student")
    parser.add_argument("--task", default="movie_snippets")
    parser.add_argument("--rows", type=int, help="test rows [default: all]")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = model_folder(arguments.model)
    model, tokenizer = load_student(folder)
    task = load_task(arguments.task, gold_options=GoldOptions(test_size=arguments.rows))
    texts, labels = task.test[task.columns.text][:], np.array(task.test[task.columns.label][:])
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    batches = [
        dict(tokenizer([texts[place] for place in order[start : start + BATCH]], padding=True, truncation=True,
                       return_tensors="pt"))
        for start in range(0, len(order), BATCH)
    ]  # fmt: skip
    labels = labels[order]
    with tempfile.TemporaryDirectory() as work:
        if not has_onnx(Path(folder)):
            began, cpu = time.perf_counter(), time.process_time()
            export(folder)
            print(f"export: {time.perf_counter() - began:.1f} s, {time.process_time() - cpu:.1f} CPU s")
        files = [Path(folder) / name for name in ONNX_FILES]
        weights = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        print(f"safetensors {weights / 1e6:.1f} MB", *(f"{f.name} {f.stat().st_size / 1e6:.1f} MB" for f in files))
        others = {}
        for name, how in OTHERS.items():
            file = Path(work) / f"{len(others)}.onnx"
            quantize_dynamic(files[0], file, **how)
            others[name] = session_of(file)
        sessions = dict(zip(("fp32", "8 bit"), map(session_of, files), strict=True))

        def by_torch() -> np.ndarray:
            with torch.inference_mode():
                return np.concatenate([model(**each, return_dict=False)[0].numpy() for each in batches])

        def by_onnx(session: onnxruntime.InferenceSession) -> np.ndarray:
            feeds = ({one.name: each[one.name].numpy() for one in session.get_inputs()} for each in batches)
            return np.concatenate([session.run(None, feed)[0] for feed in feeds])

        ways: dict[str, Callable[[], np.ndarray]] = {"torch": by_torch}
        ways |= {name: lambda session=session: by_onnx(session) for name, session in sessions.items()}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        scores: dict[str, np.ndarray] = {}
        for _ in range(arguments.repeats):
            for name, predict in ways.items():
                cpu = time.process_time()
                scores[name] = softened(predict().astype(np.float64), 1.0)
                rates[name].append(len(texts) / (time.process_time() - cpu))
                print(f"  {name}: {rates[name][-1]:.0f} rows per CPU s", flush=True)
        scores |= {name: softened(by_onnx(each).astype(np.float64), 1.0) for name, each in others.items()}
    for name, found in scores.items():
        rate = f"{statistics.median(rates[name]):8.0f} rows per CPU s" if name in rates else ""
        apart = np.abs(found - scores["torch"])
        right = (found.argmax(axis=1) == labels).mean()
        differ = (found.argmax(axis=1) != scores["torch"].argmax(axis=1)).sum()
        print(
            f"{name:18} accuracy {right:.2%} of {len(texts):,}, {differ} other labels, probabilities apart by at most "
            f"{apart.max():.1e}, {apart.mean():.1e} on average {rate}"
        )


if __name__ == "__main__":
    main()
