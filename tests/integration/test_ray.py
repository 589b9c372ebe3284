"""A bench on a Ray cluster of two nodes, one of which is lost half way."""

import collections
import csv
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

from s3_hf.bench import BenchObserver
from s3_hf.errors import BudgetReached
from tests.conftest import film_reply
from tests.llm_server import LLMServer

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's word for staying on loopback, read when it is imported
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytest.importorskip("ray", reason="the extra 'ray' is not installed")

CONCURRENCY = 4
TIMED = {"seconds", "synthesis_seconds", "training_seconds"}


def bench_file(path, config, url):
    values = {
        "tasks": {"films": {"recipe": config.task}},
        "arms": {"s3": {"rounds": 1}, "zerogen": {}, "gold": {}},
        "students": [config.student],
        "sizes": [24],
        "seeds": [0, 1, 2],
        "baseline": "s3",
        "settings": {
            "llm": url,
            "judge": "none",
            "gold_stage": "none",
            "verdict": False,
            "endpoint": {"concurrency": CONCURRENCY},
            "synthesis": {"rationales_per_label": 6, "rationales_per_example": 2},
            "training": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
        },
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def start(file, folder, *more, **environment):
    command = [sys.executable, "-m", "s3_hf", "bench", str(file), "--run-dir", str(folder), *more]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        return subprocess.Popen(
            command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stdout=log, stderr=log
        )


def table(folder, name):
    with (folder / name).open() as file:
        return [{key: value for key, value in row.items() if key not in TIMED} for row in csv.DictReader(file)]


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "node_ip_address": "127.0.0.1"})
    yield nodes
    nodes.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_lost_node_changes_nothing(films_config, cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    with LLMServer(reply=film_reply) as server:
        here = tmp_path / "here"
        assert start(bench_file(tmp_path / "here.yaml", films_config, server.url), here).wait() == 0
    with LLMServer(delay=0.1, reply=film_reply) as server:
        there = tmp_path / "there"
        file = bench_file(tmp_path / "there.yaml", films_config, server.url)
        process = start(file, there, "--engine", "ray", RAY_ADDRESS=cluster.address)
        while len(list(there.glob("cells/*/cell.json"))) < 3:
            assert process.poll() is None, (tmp_path / "there.log").read_text()
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        assert process.wait() == 0, (tmp_path / "there.log").read_text()
        asked = collections.Counter(json.dumps(request.payload, sort_keys=True) for request in server.requests)
    assert sum(count - 1 for count in asked.values()) <= CONCURRENCY
    for name in ("results.csv", "cells.csv"):
        assert table(there, name) == table(here, name)


def lane(error, ended, seconds):
    time.sleep(seconds)
    ended.touch()
    return error


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_lane_that_reaches_its_share_of_a_limit_stops_no_other(tmp_path):
    import ray

    from s3_hf.bench.cluster import _gather

    ray.init(num_cpus=2, log_to_driver=False)
    try:
        begin = ray.remote(lane)
        limit = BudgetReached("the limit max_requests=8 is reached")
        first = begin.remote(limit, tmp_path / "first", 0)
        other = begin.remote(None, tmp_path / "other", 1.5)
        tasks = {first: SimpleNamespace(name="first"), other: SimpleNamespace(name="other")}
        with pytest.raises(BudgetReached, match="max_requests=8"):
            _gather(ray, tasks, [], tmp_path, BenchObserver())
    finally:
        ray.shutdown()
    assert (tmp_path / "other").exists()
