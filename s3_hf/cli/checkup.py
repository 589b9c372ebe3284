"""What `s3-hf doctor` looks at; nothing here changes anything or needs a network to finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import S3Error, installing

if TYPE_CHECKING:
    import httpx2

TIMEOUT = 5
"""Seconds that a service has to answer."""
PACKAGES = ("datasets", "transformers", "huggingface_hub", "evaluate", "torch", "accelerate", "xllamacpp")
EXTRAS = {"tune": "optuna", "phrases": "yake", "ray": "ray", "plot": "matplotlib"}
"""Extras of this package and what each installs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; not `ok` means that something may be missing, as `found` says."""

    name: str
    ok: bool
    found: str


def checkup(urls: Sequence[str], api_key_env: str | None = None) -> list[Finding]:
    """Return all findings; `urls` are LLM endpoints to ask for their models, with the key in that variable."""
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

    looks: tuple[tuple[str, str, Callable[[], Path]], ...] = (
        ("embedded LLM", assets.DEFAULT_GGUF, assets.default_gguf),
        ("embedded student", assets.MINILM_ID, assets.minilm_dir),
    )
    for name, what, find in looks:
        try:
            find()
            yield Finding(name, True, what)
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
    import httpx2

    from s3_hf.llm import models_url

    key = os.environ.get(api_key_env, "").strip() if api_key_env else ""
    if api_key_env and not key:
        yield Finding("LLM key", False, f"{api_key_env!r} is not set; export it")
    for number, url in enumerate(urls, 1):
        name = f"LLM endpoint {number}" if len(urls) > 1 else "LLM endpoint"
        try:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            answer = httpx2.get(models_url(url), headers=headers, timeout=TIMEOUT)
            yield Finding(name, answer.status_code == 200, f"{url} {_answered(answer, api_key_env)}")
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            yield Finding(name, False, f"{url} cannot be reached ({type(error).__name__}); check that it runs")


def _answered(answer: httpx2.Response, api_key_env: str | None) -> str:
    """What an endpoint said when it was asked for its models, and what to do about it."""
    from s3_hf.llm import names_in, shown

    status = answer.status_code
    if status in (401, 403):
        advice = (
            f"correct the key in {api_key_env!r}" if api_key_env else "name the variable of its key: --api-key-env"
        )
        return f"answers with {status}; {advice}"
    if status in (404, 405):
        return f"answers with {status}: no list of models; check that the URL is one of an OpenAI-compatible server"
    if status != 200:
        return f"answers with {status}; see its log"
    try:
        names = names_in(answer.json())
    except ValueError:
        names = ()
    choose = "; choose one with --set llm_model=NAME" if len(names) > 1 else ""
    return f"serves {shown(names)}{choose}" if names else "answers, but names no model"


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
