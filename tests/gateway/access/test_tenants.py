"""However many names clients invent, a bounded number of them is told apart."""

import random
import tracemalloc

import pytest

from soonest.gateway.access import OTHER, Access, Tenants


def test_the_first_names_are_kept_and_later_ones_share_one():
    tenants = Tenants(2)
    assert [tenants.name(name, 0.0) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_a_name_unused_for_an_hour_gives_its_place_to_a_new_one():
    tenants = Tenants(2)
    tenants.name("a", 0.0)
    tenants.name("b", 1.0)
    tenants.name("a", 3000.0)
    assert tenants.name("c", 3600.5) == OTHER
    assert tenants.name("c", 3601.0) == "c"
    assert tenants.name("b", 3602.0) == OTHER
    assert tenants.name("a", 3602.0) == "a"


@pytest.mark.parametrize("name", ["x" * 129, "a\nb", "a\x00", "\x85"])
def test_a_name_that_is_too_long_or_cannot_be_printed_is_none(name):
    tenants = Tenants(1)
    assert tenants.name(name, 0.0) == OTHER
    assert tenants.name("a", 0.0) == "a", "it took nobody's place"


def test_a_hundred_thousand_invented_tenants_take_no_more_memory_than_the_bound():
    access, draw = Access(most_tenants=100), random.Random(1)  # noqa: S311 - names to invent
    seen = set()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(100_000):
            name = f"{draw.getrandbits(256):x}".encode()
            seen.add(access.caller([(b"x-gateway-inference-fairness-id", name)], i / 100).tenant)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == 101
    assert OTHER in seen
    assert after - before < 200_000
