"""`run --push-to`: each round is on the Hub when it is finished, and a Hub that fails costs no round."""

import pytest

from hf_localhub import add_user
from s3_hf.errors import HubError
from s3_hf.files import read_json
from s3_hf.loop import Observer, run
from s3_hf.store import open_run
from tests.faulty_proxy import faulty_proxy


class Watching(Observer):
    """Notes which datasets are on the Hub when a round begins."""

    def __init__(self, hub):
        self.hub, self.found = hub, {}

    def stage(self, number, stage):
        if stage.value == "synthesize":
            self.found[number] = sorted(
                each.id.split("-")[-1] for each in self.hub.api.list_datasets(author=self.hub.name)
            )


@pytest.fixture
def small(films_config):
    return films_config.model_copy(update={"rounds": 1})


def login(monkeypatch, endpoint, token):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_each_round_is_published_as_it_finishes(small, hub, tmp_path, monkeypatch):
    login(monkeypatch, hub.endpoint, hub.token)
    watching = Watching(hub)
    result = run(small, tmp_path / "films", observer=watching, push_to=hub.name)
    assert watching.found == {0: [], 1: ["round0"]}
    assert result.push_error is None
    assert read_json(open_run(result.path).round(1).published)["dataset"]["repo"] == f"{hub.name}/s3-films-round1"


def test_a_push_that_fails_loses_no_round(small, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 0.001)
    with faulty_proxy(hub.endpoint, (403,), only="/commit/", always=True) as proxy:
        login(monkeypatch, proxy.endpoint, hub.token)
        result = run(small, tmp_path / "films", push_to=hub.name)
    assert [each.number for each in result.rounds] == [0, 1]
    assert "found 403" in str(result.push_error)
    login(monkeypatch, hub.endpoint, hub.token)
    assert run(small, tmp_path / "films", push_to=hub.name).push_error is None
    assert len(list(hub.api.list_datasets(author=hub.name))) == 2


def test_a_namespace_that_is_not_ours_is_told_before_anything_is_spent(small, films_llm, hub, tmp_path, monkeypatch):
    login(monkeypatch, hub.endpoint, add_user(hub.data, f"{hub.name}-reader", role="read"))
    with pytest.raises(HubError, match="may only read"):
        run(small, tmp_path / "films", push_to=hub.name)
    assert not films_llm.requests
    assert not (tmp_path / "films").exists()
