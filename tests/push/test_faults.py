"""Every distinct request of a push fails once, on the wire: the push completes, or stops and can be repeated."""

import json
import subprocess
import sys

import pytest

from s3_hf.errors import HubError
from s3_hf.hub import Published, PushOptions, push_run
from tests.faulty_proxy import faulty_proxy
from tests.run_maker import add_model, add_round, make_run

FAULTS = (429, 500, 503, 409, 412, "reset", "slow", "lost")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 0.01)


@pytest.fixture
def run(tmp_path):
    """A run of one round; `with_model` adds its student."""
    made = make_run(tmp_path / "run", strategy="zerogen")
    add_round(made, 0, [("a bad film .", 0), ("a good film .", 1)])
    return made


def pushed_through(hub, run, faults, options=None, **where):
    """Push through the proxy; a push that stops says so in one sentence, and the next one goes on."""
    stops: list[str] = []
    with faulty_proxy(hub.endpoint, faults, **where) as proxy:
        while True:
            try:
                return push_run(run, hub.name, options, endpoint=proxy.endpoint, token=hub.token), proxy, stops
            except HubError as error:
                stops.append(str(error))
            assert len(stops) < 5, stops
            assert proxy.endpoint in stops[-1]
            assert "\n" not in stops[-1]


def check_once_pushed(hub, run, published):
    for each in published:
        assert hub.commits(each.repo, each.kind)[0] == each.commit
        assert len(hub.commits(each.repo, each.kind)) <= 2
    assert not any(each.changed for each in push_run(run, hub.name, **hub.login))


@pytest.mark.parametrize(
    ("faults", "only", "least"), [((503, 429, 500, "reset"), "", 9), ((412,), "/commit/", 1), ((409,), "/commit/", 1)]
)
def test_every_request_may_fail_once(hub, run, faults, only, least):
    published, proxy, stops = pushed_through(hub, run, faults, only=only)
    assert proxy.failed >= least
    assert not stops
    check_once_pushed(hub, run, published)


def pushed_by_command(hub, run, fault, home, xet):
    """The same in a process of its own; gives what was published and the requests that failed."""
    with faulty_proxy(hub.endpoint, (fault,)) as proxy:
        off = {"HF_ENDPOINT": proxy.endpoint, "HF_HUB_DISABLE_XET": "0" if xet else "1"}
        for _ in range(3):
            ran = subprocess.run(
                [sys.executable, "-m", "s3_hf", "push", str(run.path), "--json"],
                env=hub.environment(home, **off),
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode == 0:
                return [Published(**each) for each in json.loads(ran.stdout)], proxy.seen
            assert ran.returncode == 2, ran.stderr
            assert sum(line.startswith("error: ") for line in ran.stderr.splitlines()) == 1
            assert "Traceback" not in ran.stderr
    raise AssertionError(ran.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("xet", [True, False], ids=["xet", "lfs"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_may_fail_so(hub, run, fault, xet, tmp_path):
    """Data and model, pushed first and then changed, so that the card on the Hub is read too."""
    add_model(run, 0)
    first, seen = pushed_by_command(hub, run, fault, tmp_path / "home", xet)
    uploads = ("/v1/xorbs/", "/shards") if xet else ("/lfs/put/", "/lfs/objects/batch", "/lfs/verify")
    for part in ("/whoami", "/repos/create", "/preupload/", "/commit/", "/collections", *uploads):
        assert any(part in path for _, path in seen), part
    for each in first:
        assert hub.commits(each.repo, each.kind)[0] == each.commit
        assert len(hub.commits(each.repo, each.kind)) <= 2
    add_round(run, 0, [("a bad film .", 0), ("a very good film .", 1)])
    second, seen = pushed_by_command(hub, run, fault, tmp_path / "home", xet)
    assert any("/resolve/" in path for _, path in seen)
    for before, after in zip(first, second, strict=True):
        commits = hub.commits(after.repo, after.kind)
        assert commits[:2] == [after.commit, before.commit]
        assert len(commits) <= 3
    third, _ = pushed_by_command(hub, run, fault, tmp_path / "home", xet)
    assert not any(each.changed for each in third)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_of_a_pull_request_may_fail_so(hub, run, fault):
    published, _, _ = pushed_through(hub, run, (fault,), PushOptions(create_pr=True))
    for each in published:
        (opened,) = hub.api.get_repo_discussions(each.repo, repo_type=each.kind)
        assert each.pull_request.endswith(f"/{opened.num}")
        commits = hub.api.list_repo_commits(each.repo, repo_type=each.kind, revision=opened.git_reference)
        assert commits[0].commit_id == each.commit
        assert len(commits) == 2


def test_a_hub_that_stays_broken_is_named(run, hub):
    with (
        faulty_proxy(hub.endpoint, (503,), always=True) as proxy,
        pytest.raises(HubError, match=rf"the Hub at {proxy.endpoint} must accept the push, found 503"),
    ):
        push_run(run, hub.name, endpoint=proxy.endpoint, token=hub.token)
