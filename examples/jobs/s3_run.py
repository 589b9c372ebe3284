# /// script
# requires-python = ">=3.11"
# dependencies = ["s3-hf[onnx,report] @ git+https://github.com/s3-hf/s3-hf"]
# ///
"""Run S3 as a job on the Hub's machines: `hf jobs uv run … s3_run.py TASK …`; see docs/jobs.md."""

import argparse
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from huggingface_hub import HfApi

import s3_hf
from s3_hf.cli.options import overrides
from s3_hf.errors import S3Error
from s3_hf.predicting.exporting import export_run
from s3_hf.store import open_run


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help="registered task, or recipe file on a mounted volume")
    writer = parser.add_mutually_exclusive_group(required=True)
    writer.add_argument("--llm", help="model id on Inference Providers, or URL of an endpoint")
    writer.add_argument("--serve", metavar="MODEL", help="model that vLLM serves within the job")
    parser.add_argument(
        "--serve-args", default="--gpu-memory-utilization 0.7", help="further arguments of `vllm serve`"
    )
    parser.add_argument("--student", default="sentence-transformers/all-MiniLM-L6-v2", help="Hub id or folder")
    parser.add_argument("--namespace", help="owner of the repositories; the token's without it")
    parser.add_argument(
        "--keep", type=Path, help="folder on a mounted bucket: a run there is continued, and kept there"
    )
    parser.add_argument("--private", action="store_true", help="create private repositories")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="any other setting (repeatable)")
    return parser.parse_args()


@contextmanager
def served(model: str, more: list[str]) -> Iterator[str]:
    """Serve the model by vLLM, and yield its address when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen(["vllm", "serve", model, "--host", "127.0.0.1", "--port", port, *more])  # noqa: S603, S607
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            if server.poll() is not None:
                raise SystemExit(f"vLLM must serve {model!r}, found that it ended with code {server.returncode}")
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=10):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(1)
        yield url
    finally:
        server.terminate()
        server.wait()


@contextmanager
def kept(folder: Path | None, run_dir: Path) -> Iterator[None]:
    """Copy a run from the folder before, and to it afterwards, also when the job is stopped.

    The run itself is on the job's own disk, since its journal is a database, which mounted buckets are not made for.
    """
    if folder and folder.exists():
        shutil.copytree(folder, run_dir, dirs_exist_ok=True)
    try:
        yield
    finally:
        if folder and run_dir.exists():
            shutil.copytree(run_dir, folder, dirs_exist_ok=True)


def publish_report(page: Path, repo: str) -> None:
    """Upload the page to a private repository, since it holds gold texts."""
    api = HfApi()
    api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
    if not api.repo_info(repo, repo_type="dataset").private:
        raise SystemExit(f"the report must go to a private repository, found that {repo!r} is public; make it private")
    api.upload_file(path_or_fileobj=page, path_in_repo="report.html", repo_id=repo, repo_type="dataset")
    print("report ", f"{api.endpoint}/datasets/{repo}")


def main() -> None:
    """Run, export, publish the datasets, the students and the report."""
    given, run_dir = arguments(), Path("runs/job")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job that is stopped keeps what it has
    writer = served(given.serve, given.serve_args.split()) if given.serve else nullcontext(given.llm)
    with kept(given.keep, run_dir):
        with writer as llm:
            settings = overrides({"llm": llm, "student": given.student}, given.set)
            result = s3_hf.run(given.task, run_dir=run_dir, **settings)
        print(result.verdict.sentence if result.verdict else result.best.scores["test"].metrics)
        try:
            export_run(open_run(run_dir))
        except S3Error as error:  # all else is published
            print(f"the final student is not exported: {error}")
        published = result.push(given.namespace, private=given.private)
        for each in published:
            print(f"{each.kind:8}{each.url}")
        page = s3_hf.report_on(result).path
        publish_report(page, f"{published[0].repo.removesuffix('-round0')}-report")


if __name__ == "__main__":
    try:
        main()
    except S3Error as error:
        raise SystemExit(f"error: {error}") from error
