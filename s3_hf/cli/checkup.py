"""What `s3-hf doctor` looks at; nothing here changes anything or needs a network to finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from s3_hf.errors import S3Error

PACKAGES = ("datasets", "transformers", "huggingface_hub", "evaluate", "torch", "accelerate", "xllamacpp")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; not `ok` means that something may be missing, as `found` says."""

    name: str
    ok: bool
    found: str


def checkup(urls: Sequence[str]) -> list[Finding]:
    """Return all findings; `urls` are LLM endpoints to ask for their models."""
    return [*_installed(), *_embedded(), *_services(urls), *_hardware()]


def _installed() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, f"not installed; pip install {name}")


def _embedded() -> Iterator[Finding]:
    from s3_hf.local import assets

    looks: tuple[tuple[str, Callable[[], Path]], ...] = (
        ("embedded LLM", assets.default_gguf),
        ("embedded student", assets.minilm_dir),
    )
    for name, find in looks:
        try:
            yield Finding(name, True, find().name)
        except S3Error as error:
            yield Finding(name, False, str(error))


def _services(urls: Sequence[str]) -> Iterator[Finding]:
    import httpx2
    from huggingface_hub import constants, get_token

    yield Finding("Hub token", get_token() is not None, "present" if get_token() else "none; `hf auth login` to push")
    for name, url in [("Hub", constants.ENDPOINT), *(("LLM endpoint", url) for url in urls)]:
        path = "" if name == "Hub" else "/v1/models"
        try:
            answer = httpx2.get(url.rstrip("/").removesuffix("/v1") + path, timeout=5, follow_redirects=True)
            yield Finding(name, answer.status_code < 500, f"{url} answers with {answer.status_code}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            yield Finding(name, False, f"{url} cannot be reached ({type(error).__name__})")


def _hardware() -> Iterator[Finding]:
    import torch

    from s3_hf.config import TrainingConfig
    from s3_hf.training import precision

    features = torch.cpu.get_capabilities()
    native = [name for name in ("avx512_bf16", "amx_bf16", "avx512_f", "avx2") if features.get(name)]
    yield Finding("processor", True, f"{os.cpu_count()} cores, {', '.join(native) or 'no vector extensions known'}")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("GPU", True, names)
    else:
        yield Finding("GPU", False, "none found; training uses the processor")
    yield Finding("training precision", True, precision(TrainingConfig()))
