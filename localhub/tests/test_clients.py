"""Unmodified Python clients publish to the Hub and read back from it."""

from __future__ import annotations

import pytest

both_ways = pytest.mark.parametrize("xet", [True, False], ids=["xet", "lfs"])


@both_ways
def test_huggingface_hub_publishes_and_reads_back(client, xet):
    client("hub_publishes", f"alice/publish-{xet}".lower(), xet=xet)


def test_a_file_object_goes_by_lfs(client):
    client("hub_streams_a_file_object", "alice/file-object")


@pytest.mark.parametrize("xet", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["xet", "lfs"])
def test_datasets_round_trip(client, xet):
    client("datasets_round_trip", f"alice/rows-{xet}".lower(), xet=xet)


def test_datasets_without_xet(client):
    client("datasets_push_and_load", "alice/rows-brief", xet=False)


@pytest.mark.parametrize("xet", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["xet", "lfs"])
def test_transformers_round_trip(client, xet):
    client("transformers_round_trip", f"team/model-{xet}".lower(), xet=xet)


def test_branches_tags_history_and_squash(client):
    client("hub_manages_refs", "alice/refs")


def test_lists_settings_collections_and_discussions(client):
    client("hub_manages_repos", "team")


def test_twelve_committers_and_one_winner(client):
    client("hub_commits_in_threads", "alice/threads")


def test_a_tree_is_loaded_under_its_own_names(client, hub, tree):
    from hf_localhub import import_tree

    done = import_tree(tree, hub.data)
    assert {item.name for item in done} >= {"stanfordnlp/imdb", "nyu-mll/glue"}
    assert not any(item.changed for item in import_tree(tree, hub.data))
    wanted = ("stanfordnlp/imdb,,train,5000", "nyu-mll/glue,rte,validation,277")
    client("datasets_loads_by_name", *wanted)
