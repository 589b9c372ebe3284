"""A push replaces no repository of another run, and says what it does and what it waits for."""

import logging
import shutil
import subprocess
import sys

import pytest

from s3_hf.errors import HubError
from s3_hf.hub import PushOptions, preview_push, push_run, telling
from s3_hf.loop import run as run_all
from s3_hf.store import open_run
from tests.faulty_proxy import faulty_proxy
from tests.push.test_push_to import login
from tests.run_maker import add_model, add_round, make_run


def one_round(path, **settings):
    made = make_run(path, **settings)
    add_round(made, 0, [("a bad film .", 0), ("a good film .", 1)])
    add_model(made, 0)
    return made


@pytest.fixture
def ours(tmp_path):
    return one_round(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path):
    """A run of the same task and strategy, and so of the same names, with another seed."""
    return one_round(tmp_path / "theirs", seed=1)


def heads(hub, published):
    return [hub.commits(each.repo, each.kind)[0] for each in published]


def test_another_runs_repositories_are_not_replaced(ours, theirs, hub, tmp_path):
    first = push_run(ours, **hub.login)
    before = heads(hub, first)
    for push in (push_run, lambda run, **login: preview_push(run, tmp_path / "out", **login)):
        with pytest.raises(HubError, match=rf"'{first[0].repo}' must be new or published by this run") as error:
            push(theirs, **hub.login)
        assert repr(ours.config.fingerprint()) in str(error.value)
        assert "--name" in str(error.value)
        assert "--replace" in str(error.value)
    assert heads(hub, first) == before
    named = push_run(theirs, options=PushOptions(name="other"), **hub.login)
    assert [each.repo for each in named] == [f"{hub.name}/other-round0", f"{hub.name}/other-round0-tiny-bert"]
    assert heads(hub, first) == before
    assert all(each.changed for each in push_run(theirs, options=PushOptions(replace=True), **hub.login))
    assert heads(hub, first) != before
    with pytest.raises(HubError, match="must be new or published by this run"):
        push_run(ours, **hub.login)


def test_nothing_is_published_where_an_earlier_round_is_another_runs(ours, theirs, hub):
    """Rounds are pushed from the last to the first, and all are checked before."""
    push_run(ours, **hub.login)
    add_round(theirs, 1, [("good .", 1), ("bad .", 0)])
    add_model(theirs, 1)
    with pytest.raises(HubError, match=r"round0'"):
        push_run(theirs, **hub.login)
    assert len(list(hub.api.list_datasets(author=hub.name))) == 1


def test_the_same_run_elsewhere_and_of_a_newer_version_goes_on(ours, hub, tmp_path):
    push_run(ours, **hub.login)
    copy = open_run(shutil.copytree(ours.path, tmp_path / "copy"))
    copy.facts["versions"]["s3-hf"] = "9.9.9"
    assert all(each.changed for each in push_run(copy, **hub.login))


@pytest.mark.parametrize("record", [None, b"{}", b"[]", b"[" * 10_000, b"\xff", b'{"fingerprint": 7}'])
def test_files_that_s3_hf_did_not_write_are_not_replaced(ours, hub, record):
    repo = f"{hub.name}/s3-snippets-round0"
    hub.api.create_repo(repo, repo_type="dataset")
    files = {"data/train-00000-of-00001.parquet": b"x"} | ({"s3/run.json": record} if record else {})
    for name, content in files.items():
        hub.api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=repo, repo_type="dataset")
    with pytest.raises(HubError, match="must be new or published by this run"):
        push_run(ours, **hub.login)
    assert not list(hub.api.list_models(author=hub.name))


def test_a_run_that_could_not_be_published_spends_nothing(films_config, films_llm, hub, tmp_path, monkeypatch):
    login(monkeypatch, hub.endpoint, hub.token)
    config = films_config.model_copy(update={"rounds": 0})
    assert run_all(config, tmp_path / "first", push_to=hub.name).push_error is None
    asked = len(films_llm.requests)
    other = config.model_copy(update={"seed": 5})
    with pytest.raises(HubError, match="must be new or published by this run"):
        run_all(other, tmp_path / "second", push_to=hub.name)
    assert len(films_llm.requests) == asked
    result = run_all(other, tmp_path / "second", push_to=hub.name, push_options=PushOptions(name="second"))
    assert result.push_error is None
    assert {each.id for each in hub.api.list_datasets(author=hub.name)} == {
        f"{hub.name}/s3-films-round0",
        f"{hub.name}/second-round0",
    }


def test_a_push_says_what_it_uploads_and_that_it_still_does(ours, hub, caplog, monkeypatch):
    monkeypatch.setattr(telling, "EVERY", 0.05)
    with faulty_proxy(hub.endpoint, ("slow",), only="/commit/") as proxy, caplog.at_level(logging.INFO, "s3_hf.hub"):
        push_run(ours, endpoint=proxy.endpoint, token=hub.token)
    told = "\n".join(caplog.messages)
    assert f"pushing the dataset {hub.name}/s3-snippets-round0: 4 files, " in told
    assert f"pushing the model {hub.name}/s3-snippets-round0-tiny-bert: 6 files, " in told
    assert " so far" in told


def test_a_wait_of_an_hour_ends_with_the_time_from_which_to_go_on(ours, hub):
    with (
        faulty_proxy(hub.endpoint, (429,), only="/commit/", headers={"Retry-After": "3600"}) as proxy,
        pytest.raises(HubError, match=r"found 429 .* wait until [\d :-]+, then push again, which goes on from there"),
    ):
        push_run(ours, endpoint=proxy.endpoint, token=hub.token)
    assert all(each.commit for each in push_run(ours, **hub.login))


def test_a_shorter_wait_is_told_with_its_end(ours, hub, caplog, monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.LONGEST_PAUSE", 0.1)
    with faulty_proxy(hub.endpoint, (429,), only="/commit/", headers={"Retry-After": "1"}) as proxy:
        push_run(ours, endpoint=proxy.endpoint, token=hub.token)
        told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any(f"{proxy.endpoint} answered HTTP 429; trying again in 1.0 s, at " in each for each in told)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 503])
def test_an_error_that_repeats_the_token_is_masked(ours, hub, status, monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 0.001)
    with (
        faulty_proxy(hub.endpoint, (status,), only="/commit/", always=True, repeats="authorization") as proxy,
        pytest.raises(HubError) as error,
    ):
        push_run(ours, endpoint=proxy.endpoint, token=hub.token)
    assert hub.token not in str(error.value)
    assert "***" in str(error.value)


def test_a_cache_that_cannot_be_written_is_not_needed(ours, hub, tmp_path):
    """The second push reads the card on the Hub."""
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-m", "s3_hf", "push", str(ours.path)],
            env=hub.environment(tmp_path / "home", HF_HUB_CACHE="/proc/nope"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "Traceback" not in ran.stderr
    assert ran.stdout.count("unchanged") == 2
    assert (
        f"pushing the model {hub.name}/s3-snippets-round0-tiny-bert: 7 files, " in ran.stderr
    )  # a figure of the confusion, too


def test_a_name_of_three_hundred_characters_can_be_pushed(tmp_path, hub):
    run = make_run(tmp_path / "long", student="x/" + "s" * 300, llm="http://127.0.0.1:1")
    run.facts["llm"] |= {"model": "as served", "endpoint": "url"}
    add_round(run, 0, [("a bad film .", 0), ("a good film .", 1)], model="m" * 300)
    add_model(run, 0)
    names = [each.repo.removeprefix(f"{hub.name}/") for each in push_run(run, **hub.login)]
    assert all(len(name) <= 96 for name in names)


def test_a_space_is_filled_unless_somebody_wrote_to_it(ours, hub):
    with_page = PushOptions(page=lambda run, withheld: "<!doctype html>\n<p>The report.</p>\n")
    repo = f"{hub.name}/s3-snippets-report"
    hub.api.create_repo(repo, repo_type="space", space_sdk="static")  # as a push that was killed here
    assert "style.css" in hub.text(repo, "index.html", "space")
    space = push_run(ours, options=with_page, **hub.login)[0]
    assert (space.repo, space.changed) == (repo, True)
    assert "The report." in hub.text(repo, "index.html", "space")
    assert not push_run(ours, options=with_page, **hub.login)[0].changed

    hub.api.delete_repo(repo, repo_type="space")
    hub.api.create_repo(repo, repo_type="space", space_sdk="static")
    hub.api.upload_file(path_or_fileobj=b"<p>mine</p>", path_in_repo="index.html", repo_id=repo, repo_type="space")
    with pytest.raises(
        HubError, match=rf"'{repo}' must be new or published by this run .* the files \['index.html'\]"
    ):
        push_run(ours, options=with_page, **hub.login)
    assert hub.text(repo, "index.html", "space") == "<p>mine</p>"
