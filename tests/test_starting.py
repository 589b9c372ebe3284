"""`s3_hf.run`: settings as arguments, embedded parts, progress, and inside a running event loop."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import s3_hf
from s3_hf import RunConfig
from s3_hf.errors import ConfigError
from s3_hf.files import read_rows
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.starting import Progress
from s3_hf.store import Stage
from tests.conftest import film_reply
from tests.llm_server import LLMServer


@pytest.fixture
def small(films_config):
    """Keyword arguments of a run of one round."""
    keys = ("llm", "student", "seed_size", "judge", "gold_stage", "verdict", "synthesis", "training")
    return {**films_config.model_dump(mode="json", include=set(keys)), "rounds": 0}


def test_a_task_and_settings_are_arguments(recipe, small, tmp_path, capsys):
    result = s3_hf.run(recipe, run_dir=tmp_path / "run", **small)
    (first,) = result.rounds
    assert (first.rows, first.scores["mined"].n, first.scores["test"].n) == (24, 40, 60)
    assert first.scores["mined"] == first.scores["selection"]
    assert first.training.steps == 2 * 3
    assert first.training.best_epoch in (1, 2)
    assert first.training.parameters > 1000
    assert first.synthesis.usage.requests > 24
    assert first.synthesis.labels == {"neg": 12, "pos": 12}
    assert len(repr(result)) < 1000
    err = capsys.readouterr().err
    assert "round 0: synthesize\n" in err
    assert "round 0: train\n" in err
    assert "round 0: 24 rows, accuracy " in err


def test_a_config_is_an_argument_and_progress_can_be_off(films_config, tmp_path, capsys):
    config = RunConfig(**{**films_config.model_dump(mode="json"), "rounds": 0})
    result = s3_hf.run(config, run_dir=tmp_path / "run", progress=False)
    assert len(result.rounds) == 1
    assert "round 0" not in capsys.readouterr().err
    more = s3_hf.run(config, run_dir=tmp_path / "run", progress=False, rounds=1)
    assert more.rounds[0] == result.rounds[0]
    assert len(more.rounds) == 2


def test_unknown_settings_are_named():
    with pytest.raises(ConfigError, match=r"unknown setting 'round' in s3_hf\.run; did you mean 'rounds'"):
        s3_hf.run("movie_snippets", round=1)


def test_it_runs_inside_an_event_loop(recipe, small, tmp_path):
    async def main():
        return s3_hf.run(recipe, run_dir=tmp_path / "inside", progress=False, **small)

    inside = asyncio.run(main())
    outside = s3_hf.run(recipe, run_dir=tmp_path / "outside", progress=False, **small)
    assert inside.rounds[0].scores == outside.rounds[0].scores
    rows = [(result.path / "round-0" / "data.parquet").read_bytes() for result in (inside, outside)]
    assert rows[0] == rows[1]


def test_a_ctrl_c_inside_an_event_loop_keeps_the_rows(recipe, small, tmp_path):
    """The rows so far are on the disk, and the handler of the signal is the one of before."""

    async def main(server):
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            s3_hf.run(recipe, run_dir=tmp_path / "run", **{**small, "llm": server.url, "seed_size": 100_000})
        assert signal.getsignal(signal.SIGINT) is handler
        return caught.value

    with LLMServer(reply=film_reply) as server:

        def interrupt():
            while len(server.requests) < 200:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        error = asyncio.run(main(server))
        thread.join()
    assert "rows so far: " in error.__notes__[0]
    assert len(read_rows(tmp_path / "run" / "round-0" / "partial.parquet")) > 0


def test_an_error_inside_an_event_loop_is_raised():
    async def failing():
        await asyncio.sleep(0)
        raise ConfigError("no")

    async def main():
        run_coroutine(failing())

    with pytest.raises(ConfigError, match="no"):
        asyncio.run(main())


def test_the_embedded_llm_and_student_are_started(tmp_path):
    """Without a server or a student in the settings; four rows are enough to see that both were used."""
    result = s3_hf.run(
        "movie_snippets", run_dir=tmp_path, seed_size=4, rounds=0, gold_size=4, test_size=4, training={"min_steps": 1},
        synthesis={"rationales": False}, judge="none", gold_stage="none", verdict=False, progress=False,
    )  # fmt: skip
    assert result.rounds[0].training.student.endswith("all-MiniLM-L6-v2")
    assert set(read_rows(tmp_path / "round-0" / "data.parquet")["s3_model"][:]) != {""}


def test_version_and_importing_are_light():
    code = "import sys, s3_hf; s3_hf.__version__; print(len([n for n in sys.modules if n.startswith('s3_hf.')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    with pytest.raises(AttributeError):
        getattr(s3_hf, "nothing")  # noqa: B009


@pytest.mark.parametrize("arguments", [("--version",), ("-h",), ("run", "-h"), ("tasks", "new", "-h")])
def test_version_and_short_help(typed, arguments):
    code, out, _ = typed(*arguments)
    assert code == 0
    assert out == f"s3-hf {s3_hf.__version__}\n" if arguments == ("--version",) else "Usage: " in out


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_has_a_bar_and_a_log_line_does_not_break_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress() as progress:
        progress.stage(1, Stage.TRAIN)
        progress.step(3, 4)
        progress.line("a line")
        progress.step(4, 4)
    text = terminal.getvalue()
    assert "round 1: train: 100%" in text
    assert " 4/4 " in text
    assert "a line\n" in text
