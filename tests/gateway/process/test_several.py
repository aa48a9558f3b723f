"""Two gateways before three engines, as processes: limits are shared, shares hold, whoever is killed loses nothing."""

import asyncio

import pytest
from benchmarks.killing.stand import standing
from benchmarks.two_gateways import measured

pytestmark = pytest.mark.slow
SLOTS = 4


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with standing(tmp_path_factory.mktemp("several"), 3, 2, SLOTS, 50.0) as made:
        yield made


def test_two_gateways_keep_engines_full_their_queues_short_and_tenants_shares(stand):
    asyncio.run(measured(stand, 2, 300, 3, kill=False))  # tenants pay what answers usually take: first, that is learned
    found = asyncio.run(measured(stand, 2, 700, 1, kill=False, clients=60))  # so many that both tenants always wait
    assert (found["answered"], found["told"], found["lost"], found["begun_again"]) == (700, 0, 0, 0)
    assert found["waiting_in_an_engine"]["mean"] <= 3
    assert found["running_in_an_engine"]["mean"] >= 0.5 * SLOTS  # less than all where the machine has no time for them
    shares = found["share_against_weight"]
    assert all(0.8 <= share <= 1.2 for share in shares.values()), shares


def test_whatever_is_killed_each_request_is_answered_once_or_its_client_is_told(stand):
    found = asyncio.run(measured(stand, 2, 600, 2, kill=True))
    assert found["answered"] + found["told"] == 600
    assert (found["lost"], found["begun_again"]) == (0, 0)
    assert found["answered"] >= 450
    assert sum(found["killed"].values()) >= 3
    assert all(one.runs for one in stand.all)
