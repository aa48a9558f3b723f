"""Keys, limits, shares and priorities, through the whole gateway."""

import asyncio
import threading

import aiohttp
import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, ask, asking, chat, error_of, until
from tests.gateway.running import running

from soonest.gateway.access import Access

LARGE, SMALL, URGENT = "large-key-0123456789", "small-key-0123456789", "urgent-key-012345678"
ENGINE_KEY = "the-engine-s-own-key"
KEYS = f"""
[[key]]
name = "large"
key = "{LARGE}"
weight = 2.0

[[key]]
name = "small"
key = "{SMALL}"
weight = 1.0
"""
URGENT_KEY = f"""
[[key]]
name = "urgent"
key = "{URGENT}"
priority = true
"""


@pytest.fixture
def keyed(tmp_path):
    """`keyed(text)`: what a gateway is given for this key file."""

    def make(text=KEYS):
        path = tmp_path / "keys.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return {"access": Access.open(path, engine_key=ENGINE_KEY)}

    return make


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def sent_on(fake):
    return {name.lower(): value for name, value in fake.seen()["last"]["headers"]}


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings", "/v1/models", "/tokenize"])
def test_without_a_key_nobody_comes_in_and_with_one_all_paths_are_open(keyed, path):
    with fake_engine() as fake, running(fake.url, parts=keyed()) as gateway:
        for headers in ({}, bearer("wrong"), {"x-api-key": SMALL[:-1]}, {"Authorization": f"Basic {SMALL}"}):
            ((status, said, body),) = asking(chat(1), url=gateway.url, path=path, **headers)
            assert status == 401
            assert said["www-authenticate"] == "Bearer"
            assert error_of(body)["type"] == "AuthenticationError"
        assert fake.seen()["requests"] == fake.seen()["paths"].get("/v1/models", 0), "only our own questions went on"
        for headers in (bearer(SMALL), {"x-api-key": SMALL}):
            assert asking(chat(1), url=gateway.url, path=path, **headers)[0][0] != 401
        until(gateway.idle)


@pytest.mark.parametrize("path", [CHAT, "/v1/echo"])
def test_an_engine_sees_its_own_key_and_never_ours(keyed, path):
    with fake_engine() as fake, running(fake.url, parts=keyed()) as gateway:
        for headers in (bearer(SMALL), {"x-api-key": SMALL}, {**bearer(SMALL), "Proxy-Authorization": LARGE}):
            assert asking(chat(1), url=gateway.url, path=path, **headers)[0][0] == 200
            until(lambda: fake.seen()["last"]["path"] == path, 5)
            said = sent_on(fake)
            assert said["authorization"] == f"Bearer {ENGINE_KEY}"
            assert not {SMALL, LARGE} & {word for value in said.values() for word in value.split()}


def test_without_keys_of_ours_the_client_s_own_goes_on():
    with fake_engine() as fake, running(fake.url) as gateway:
        asking(chat(1), url=gateway.url, **bearer("for-the-engine"))
        assert sent_on(fake)["authorization"] == "Bearer for-the-engine"


def test_more_than_a_key_s_rate_is_told_when_to_come_again(keyed):
    slow = KEYS + f'\n[[key]]\nname = "slow"\nkey = "{URGENT}"\nrate = 0.05\nburst = 2\n'
    with fake_engine() as fake, running(fake.url, parts=keyed(slow)) as gateway:
        answers = asking(*[chat(1)] * 5, url=gateway.url, **bearer(URGENT))
        assert sorted(status for status, _, _ in answers) == [200, 200, 429, 429, 429]
        for status, headers, body in answers:
            if status == 429:
                assert 1 <= int(headers["retry-after"]) <= 20
                assert error_of(body)["type"] == "RateLimitError"
        assert asking(chat(1), url=gateway.url, **bearer(SMALL))[0][0] == 200
        assert asking(chat(1), url=gateway.url, path="/v1/models", **bearer(URGENT))[0][0] == 429


def test_more_than_a_key_may_have_at_once_is_turned_away_until_one_has_ended(keyed):
    narrow = KEYS + f'\n[[key]]\nname = "narrow"\nkey = "{URGENT}"\nconcurrency = 2\n'
    with fake_engine(step_ms=5) as fake, running(fake.url, parts=keyed(narrow)) as gateway:
        found = []
        both = threading.Thread(
            target=lambda: found.extend(asking(*[chat(1000)] * 2, url=gateway.url, **bearer(URGENT)))
        )
        both.start()
        until(lambda: fake.seen()["running"] == 2)
        ((status, headers, _),) = asking(chat(1), url=gateway.url, **bearer(URGENT))
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        assert asking(chat(1), url=gateway.url, **bearer(SMALL))[0][0] == 200
        both.join(20)
        assert [status for status, _, _ in found] == [200, 200]
        assert asking(chat(1), url=gateway.url, **bearer(URGENT))[0][0] == 200
        until(lambda: not any(a.in_flight for a in gateway.gateway.access._accounts.values()))


def order_of(gateway, asked, gate):
    """Requests in the order in which they were let in, of (body, headers) that all wait behind one, the gate."""
    order, dispatcher = [], gateway.gateway.dispatcher
    (place,) = dispatcher.places
    admitted = dispatcher.admit

    def noting(now):
        started = admitted(now)
        order.extend(ticket.entry.request for ticket in started)
        return started

    async def main():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            first = asyncio.create_task(ask(session, gateway.url, gate, **bearer(SMALL)))
            while not place.in_flight:  # noqa: ASYNC110 - it happens on another loop
                await asyncio.sleep(0.005)
            dispatcher.admit = noting
            rest = [asyncio.create_task(ask(session, gateway.url, body, **headers)) for body, headers in asked]
            while gateway.call(lambda: len(dispatcher.queue)) < len(asked):  # noqa: ASYNC110 - too
                await asyncio.sleep(0.01)
            first.cancel()
            return await asyncio.gather(*rest)

    assert {status for status, _, _ in asyncio.run(main())} == {200}
    return order


@pytest.mark.parametrize("policy", ["fcfs", "shortest"])
def test_tenants_share_by_weight_while_both_have_something_waiting(keyed, policy):
    n = 150
    bodies = [chat(4, vllm_xargs={"soonest_forecast": [4, 4, 4]})] * n
    with fake_engine() as fake, running(fake.url, parts=keyed(), in_flight=1, policy=policy) as gateway:
        asked = [(body, bearer(key)) for body, key in zip(bodies * 2, [SMALL] * n + [LARGE] * n, strict=True)]
        order = [request.tenant for request in order_of(gateway, asked, chat(4, "hang"))]
        assert len(order) == 2 * n
        both = order[: n + n // 2 - 10]  # then the large one has nothing left
        assert 2 * 0.8 <= both.count("large") / both.count("small") <= 2 * 1.2
        assert both[:30].count("small") >= 7, "from the beginning on"


def test_a_tenant_is_charged_for_tokens_not_for_requests(keyed):
    n = 100
    long, short = (chat(t, vllm_xargs={"soonest_forecast": [t, t, t]}) for t in (40, 4))
    same = KEYS.replace("2.0", "1.0")
    with fake_engine() as fake, running(fake.url, parts=keyed(same), in_flight=1) as gateway:
        asked = [(long, bearer(LARGE))] * n + [(short, bearer(SMALL))] * n
        order = [request.tenant for request in order_of(gateway, asked, chat(4, "hang"))]
        before = order.index("small") if order[0] == "large" else 0
        both = order[before : len(order) - order[::-1].index("small")]  # while the small one has something
        assert both.count("large") <= 15, "ten times as many tokens, a tenth of the turns"


def test_only_those_who_may_go_before_others(keyed):
    with fake_engine() as fake, running(fake.url, parts=keyed(KEYS + URGENT_KEY), in_flight=1) as gateway:
        asked = [
            (chat(1, user="plain"), bearer(SMALL)),
            (chat(1, user="pushy", priority=-5), bearer(SMALL)),
            (chat(1, user="modest", priority=3), bearer(LARGE)),
            (chat(1, user="urgent", priority=-1), bearer(URGENT)),
        ]
        order = [(r.tenant, r.priority) for r in order_of(gateway, asked, chat(4, "hang"))]
        assert order == [("urgent", -1), ("small", 0), ("small", 0), ("large", 3)]


def test_without_keys_nobody_goes_before_others():
    with fake_engine() as fake, running(fake.url, in_flight=1) as gateway:
        asked = [(chat(1), {}), (chat(1, priority=-5), {}), (chat(1, priority=2), {})]
        assert [r.priority for r in order_of(gateway, asked, chat(4, "hang"))] == [0, 0, 2]
