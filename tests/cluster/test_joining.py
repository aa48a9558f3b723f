"""A Ray cluster of two nodes that runs already: joined, left running, and refused where a node has another version."""

import os

import pytest
import ray

from soonest.cluster import joined
from soonest.core import Rules, SoonestError
from soonest.data import sample
from soonest.sim import PRESETS, Options
from soonest.studies import Comparison, Scenario, arms

OTHER = """import importlib.metadata as m
found = m.version
m.version = lambda name: "9.9.9" if name == "soonest" else found(name)
"""
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::ray")]


@pytest.fixture
def running(monkeypatch):
    """A cluster of one node, on the loopback interface alone."""
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield found
    found.shutdown()


def test_a_cluster_that_runs_is_joined_and_goes_on(running):
    running.add_node(num_cpus=1)
    options = Options(Rules.vllm(4, 512, 4000, 16), PRESETS["h100-8b"])
    scenario = Scenario(sample().head(40), options, arrivals="poisson", repetitions=20)
    compared = Comparison(scenario, arms(["fcfs,shortest"], "oracle"), (0.9,))
    here = compared.run()
    for _ in range(2):
        with joined(running.address) as cluster:
            assert cluster.cores == 2
            assert len({node["NodeID"] for node in ray.nodes()}) == 2
            assert repr(compared.run(cluster)) == repr(here)


def test_a_node_with_another_version_is_named(running, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(OTHER)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    running.add_node(num_cpus=1, env_vars={"PYTHONPATH": path})
    told = pytest.raises(SoonestError, match=r"has soonest 9\.9\.9, this machine .*make them the same")
    with told, joined(running.address):
        pass
