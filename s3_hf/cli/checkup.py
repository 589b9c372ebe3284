"""The checks of `s3-hf doctor`; none changes anything or needs a network to finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from s3_hf.errors import ConfigError, S3Error, installing

TIMEOUT = 5
"""Seconds that the Hub has to answer."""
PACKAGES = ("datasets", "transformers", "huggingface_hub", "evaluate", "torch", "accelerate", "xllamacpp")
EXTRAS = {"tune": "optuna", "phrases": "yake", "ray": "ray", "plot": "matplotlib"}
"""Extras of this package and the package that each installs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; where it is not `ok`, `detail` says what may be missing."""

    name: str
    ok: bool
    detail: str


def checkup(urls: Sequence[str], api_key_env: str | None = None) -> list[Finding]:
    """Return all findings.

    Args:
        urls: LLM endpoints, which are asked for their lists of models.
        api_key_env: environment variable that holds their key.
    """
    return [*_installed(), *_embedded(), *_services(), *_endpoints(urls, api_key_env), *_hardware()]


def _installed() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, f"not installed; pip install {name}")
    for extra, name in EXTRAS.items():
        try:
            yield Finding(f"extra {extra!r}", True, f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(f"extra {extra!r}", False, f"{name} is not installed; {installing(extra)}")


def _embedded() -> Iterator[Finding]:
    from s3_hf.local import assets

    parts: tuple[tuple[str, str, Callable[[], Path]], ...] = (
        ("embedded LLM", assets.DEFAULT_GGUF, assets.default_gguf),
        ("embedded student", assets.MINILM_ID, assets.minilm_dir),
    )
    for name, installed, find in parts:
        try:
            find()
            yield Finding(name, True, installed)
        except S3Error as error:
            yield Finding(name, False, str(error))


def _services() -> Iterator[Finding]:
    import httpx2
    from huggingface_hub import constants, get_token

    yield Finding("Hub token", get_token() is not None, "present" if get_token() else "none; `hf auth login` to push")
    url = constants.ENDPOINT
    try:
        answer = httpx2.get(url, timeout=TIMEOUT, follow_redirects=True)
        yield Finding("Hub", answer.status_code < 500, f"{url} answers with {answer.status_code}")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        yield Finding("Hub", False, f"{url} cannot be reached ({type(error).__name__})")


def _endpoints(urls: Sequence[str], api_key_env: str | None) -> Iterator[Finding]:
    from s3_hf.config import LLMConfig
    from s3_hf.llm.access import read_key, shortened, without_secrets
    from s3_hf.llm.failures import Failure
    from s3_hf.llm.models import probe
    from s3_hf.loop.asynchronous import run_coroutine

    settings = LLMConfig(api_key_env=api_key_env)
    try:
        read_key(api_key_env)
    except ConfigError as error:
        yield Finding("LLM key", False, str(error))
        settings = LLMConfig()
    for number, url in enumerate(urls, 1):
        name = f"LLM endpoint {number}" if len(urls) > 1 else "LLM endpoint"
        models = run_coroutine(probe(url, settings))
        if isinstance(models, Failure):
            detail = f"lists no models: it {models.reason}; {models.advice or 'check that it runs and see its log'}"
        elif models:
            choose = "; choose one with --set llm_model=NAME" if len(models) > 1 else ""
            detail = f"serves {shortened(models)}{choose}"
        else:
            detail = "answers, but names no model"
        yield Finding(name, not isinstance(models, Failure), f"{without_secrets(url)} {detail}")


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
