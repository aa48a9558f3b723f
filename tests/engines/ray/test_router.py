"""Our router in a real Ray Serve: where requests go, and that none is lost, twice begun, or counted for ever."""

import asyncio
import itertools
import logging
import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import ray
from tests.gateway.clients import until
from tests.real.servers import free_port

from soonest.cluster import joined
from soonest.engines import tiny

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::ray")]
WAIT = 60
_numbers = itertools.count()


@pytest.fixture(scope="module")
def serve(unused_port):
    """Ray Serve on a local cluster, with a proxy on the loopback interface."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Serve builds on what pydantic will drop
        from ray import serve
    with joined(cores=1):
        serve.start(http_options={"host": "127.0.0.1", "port": unused_port}, logging_config={"log_level": "ERROR"})
        yield serve
        serve.shutdown()


@pytest.fixture(scope="module")
def unused_port():
    """A port that is free now."""
    return free_port()


@pytest.fixture
def deployed(serve, tmp_path):
    """`deployed(replicas, router, ...)`: a handle to workers that note in a file what they begin."""
    log, name = tmp_path / "begun", f"test{next(_numbers)}"  # a process keeps the router of a name that comes again
    log.touch()

    class Worker:
        """Sleeps as long as a body says, and tells who it is and what it was given."""

        def note(self, body):
            with log.open("a") as file:
                file.write(f"{body['id']} {os.getpid()}\n")

        async def __call__(self, body):
            if not isinstance(body, dict):  # by HTTP
                body = await body.json()
            self.note(body)
            await asyncio.sleep(body["seconds"])
            return os.getpid(), body

        async def stream(self, body):
            self.note(body)
            for number in range(20):
                yield os.getpid(), number
                await asyncio.sleep(body["seconds"] / 20)

    def deploy(replicas, router="soonest.engines.ray.Router", ongoing=100, prefix=None, **kwargs):
        config = {"request_router_class": router, "request_router_kwargs": kwargs}
        made = serve.deployment(
            Worker,
            num_replicas=replicas,
            max_ongoing_requests=ongoing,
            request_router_config=config,
            ray_actor_options={"num_cpus": 0},
            graceful_shutdown_timeout_s=1,
        )
        handle = serve.run(made.bind(), name=name, route_prefix=prefix)
        handle.begun = log
        return handle

    yield deploy
    serve.delete(name)


def body(name, seconds, tokens):
    return {"id": name, "prompt": "Tell", "seconds": seconds, "vllm_xargs": {"soonest_forecast": [tokens] * 3}}


def router_of(handle):
    """The router of this process's handle."""
    return handle._router._asyncio_router.request_router


def settled(handle):
    """The ledger, once nothing is outstanding."""
    ledger = router_of(handle).ledger
    until(lambda: {booked(ledger, replica) for replica in ledger.replicas} == {0}, WAIT)
    assert not router_of(handle)._choosing
    return ledger


def booked(ledger, replica):
    """Requests that the ledger counts there."""
    return ledger.load(replica, time.monotonic()).requests


def begun(handle):
    """Requests that workers have begun, so far."""
    return len(handle.begun.read_text().splitlines())


def test_requests_go_where_the_fewest_are_and_of_equals_where_they_are_short(deployed):
    handle = deployed(2)
    for _ in range(3):
        before = begun(handle)
        long = [handle.remote(body(f"long{i}", 3.0, tokens)) for i, tokens in enumerate((1000, 900))]
        until(lambda before=before: begun(handle) == before + 2, WAIT)
        short = handle.remote(body("short", 0.5, 10))  # two are alike in number
        found = [answer.result(timeout_s=WAIT)[0] for answer in (*long, short)]
        assert found[2] == found[1] != found[0]
        settled(handle)


def test_requests_that_come_at_once_are_spread_by_number_then_by_tokens(deployed):
    handle = deployed(4)
    answers = [handle.remote(body(str(i), 4.0, 400 if i == 0 else 100)) for i in range(15)]
    pids = [answer.result(timeout_s=WAIT)[0] for answer in answers]
    counts = {pid: pids.count(pid) for pid in pids}
    assert counts == {pid: 3 if pid == pids[0] else 4 for pid in pids}
    settled(handle)


def test_a_client_s_forecast_counts_for_no_more_than_the_request_allows(deployed):
    handle = deployed(2)
    handle.remote(body("first", 0, 10)).result(timeout_s=WAIT)
    ledger = settled(handle)
    answers = [handle.remote(body(str(i), 10, 1e12) | {"max_tokens": 10}) for i in range(2)]
    until(lambda: {ledger.load(replica, time.monotonic()) for replica in ledger.replicas} == {(1, 10)}, 8)
    assert ledger.mean == 10
    for answer in answers:
        answer.result(timeout_s=WAIT)
    settled(handle)


def test_the_predictor_s_forecast_is_written_into_the_request_and_the_caller_s_own_is_kept(deployed):
    handle = deployed(2, predictor=str(tiny.forecasts()), forecast_budget=10.0)
    asked = {"id": "1", "seconds": 0, "prompt": tiny.prompts(1)[0]}
    _, seen = handle.remote(asked).result(timeout_s=WAIT)
    low, expected, high = seen.pop("vllm_xargs")["soonest_forecast"]
    assert seen == asked
    assert 0 < low <= expected <= high
    _, seen = handle.remote(body("2", 0, 77)).result(timeout_s=WAIT)
    assert seen == body("2", 0, 77)
    settled(handle)


@pytest.mark.parametrize("router", ["soonest.engines.ray.Router", "soonest.engines.ray.prefix.PrefixRouter"])
def test_a_request_that_cannot_be_read_is_served_all_the_same(deployed, router):
    class Odd:
        async def json(self):
            return body("odd", 0, 1)

        @property
        def messages(self):
            raise RuntimeError("not here")

    handle = deployed(1, router=router)
    assert handle.remote(Odd()).result(timeout_s=WAIT)[1]["id"] == "odd"
    settled(handle)


def test_an_argument_that_cannot_be_sent_is_told_and_booked_nowhere(deployed):
    handle = deployed(1)
    with pytest.raises(TypeError):
        handle.remote(body("1", 0, 1), threading.Lock()).result(timeout_s=WAIT)
    settled(handle)


def test_a_lost_tree_of_prompts_keeps_no_request_waiting(deployed):
    handle = deployed(2, router="soonest.engines.ray.prefix.PrefixRouter")
    asked = body("1", 0, 10) | {"prompt": "a" * 500}
    handle.remote(asked).result(timeout_s=WAIT)
    ray.kill(router_of(handle)._tree_actor)
    for _ in range(3):
        handle.remote(asked).result(timeout_s=WAIT)
    settled(handle)


def test_a_full_fleet_makes_requests_wait_and_a_cancelled_one_is_counted_nowhere(deployed):
    handle = deployed(2, ongoing=1)
    begun = time.monotonic()
    answers = [handle.remote(body(str(i), 0.4, 10)) for i in range(8)]
    gone = handle.remote(body("gone", 0.4, 10))
    time.sleep(0.1)
    gone.cancel()
    pids = [answer.result(timeout_s=WAIT)[0] for answer in answers]
    assert len(set(pids)) == 2
    assert time.monotonic() - begun >= 4 * 0.4
    settled(handle)
    assert "gone" not in handle.begun.read_text()


def test_calls_that_serve_one_request_share_its_id_and_are_each_answered(serve, deployed):
    handle = deployed(2, ongoing=1)

    class Fan:
        """Asks several times at once, and takes one back."""

        async def __call__(self, name, bodies):
            from ray import serve

            worker = serve.get_app_handle(name)
            gone, *asked = [worker.remote(one) for one in bodies]
            gone.cancel()
            return [seen["id"] for _, seen in await asyncio.gather(*asked)]

    fan = serve.deployment(Fan, ray_actor_options={"num_cpus": 0}).bind()
    try:
        asking = serve.run(fan, name="fan", route_prefix=None)
        for _ in range(3):
            found = asking.remote(handle.app_name, [body(str(i), 0.2, 10) for i in range(7)]).result(timeout_s=WAIT)
            assert found == list("123456")
    finally:
        serve.delete("fan")


@pytest.mark.parametrize(
    ("router", "kwargs", "said"),
    [
        ("Router", {"predictor": "/nowhere/forecasts"}, "/nowhere/forecasts"),
        ("Router", {"forecast_budget": 0}, "got 0"),
        ("Router", {"predictors": "a"}, "no argument predictors"),
        ("prefix.PrefixRouter", {"predictors": "a"}, "no argument predictors"),
        ("prefix.PrefixRouter", {"tree_actor": "none"}, "prefixes cannot be looked up"),
    ],
)
def test_what_cannot_be_is_logged_and_keeps_no_request_waiting(deployed, caplog, router, kwargs, said):
    with caplog.at_level(logging.ERROR, "ray.serve.soonest"):
        handle = deployed(1, router=f"soonest.engines.ray.{router}", **kwargs)
        for name in "12":
            assert handle.remote(body(name, 0, 5)).result(timeout_s=WAIT)[1]["id"] == name
    assert [said in record.getMessage() for record in caplog.records] == [True]
    settled(handle)


def test_with_a_replica_killed_under_load_every_request_is_answered_once_or_told(deployed):
    handle = deployed(3)
    victim = handle.remote(body("first", 0, 1)).result(timeout_s=WAIT)[0]
    before = router_of(handle).ledger.replicas

    def ask(number):
        time.sleep(0.02 * number)
        try:
            return handle.remote(body(str(number), 0.3, 50)).result(timeout_s=WAIT)[0]
        except Exception as error:  # noqa: BLE001 - whatever it is told
            return error

    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(ask, number) for number in range(100)]
        time.sleep(0.8)
        os.kill(victim, signal.SIGKILL)
        found = [answer.result() for answer in answers]
    told = [answer for answer in found if isinstance(answer, Exception)]
    assert 0 < len(told) < 60
    assert {type(error).__name__ for error in told} <= {
        *("ActorDiedError", "ActorUnavailableError", "RayTaskError", "RayServeException")
    }
    begun = [line.split()[0] for line in handle.begun.read_text().splitlines()]
    assert len(begun) == len(set(begun))  # none was begun twice
    assert {str(n) for n, answer in enumerate(found) if not isinstance(answer, Exception)} <= set(begun)
    until(lambda: len(router_of(handle).ledger.replicas) >= 3, WAIT)
    after = settled(handle).replicas
    assert len(after) == 3
    assert len(after - before) == 1


def test_a_stream_that_has_begun_is_never_begun_again(deployed):
    handle = deployed(2)
    tokens = iter(handle.options(stream=True, method_name="stream").remote(body("streamed", 10, 100)))
    pid, first = next(tokens)
    assert first == 0
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Exception, match=r"(?i)died|unavailable|killed"):
        list(tokens)
    assert handle.begun.read_text().split() == ["streamed", str(pid)]


def test_a_prompt_whose_beginning_was_seen_goes_there_again_unless_that_is_busy(deployed):
    handle = deployed(3, router="soonest.engines.ray.prefix.PrefixRouter")
    prompts = {name: name * 200 for name in "abc"}

    def ask(prompt, seconds=0.0, tokens=10):
        return handle.remote(body("x", seconds, tokens) | {"prompt": prompt})

    homes = {name: ask(prompt).result(timeout_s=WAIT)[0] for name, prompt in prompts.items()}
    for name in 5 * "abc":
        settled(handle)
        assert ask(prompts[name] + "more").result(timeout_s=WAIT)[0] == homes[name]
    before = begun(handle)
    long = ask(prompts["a"], 4.0, 1000)
    until(lambda: begun(handle) == before + 1, WAIT)
    assert ask(prompts["a"]).result(timeout_s=WAIT)[0] != homes["a"]
    assert long.result(timeout_s=WAIT)[0] == homes["a"]
    settled(handle)


def test_a_beginning_is_found_among_all_replicas_though_few_are_drawn(deployed, monkeypatch):
    monkeypatch.setattr("soonest.engines.ray.router.ALL", 1)
    monkeypatch.setattr("soonest.engines.ray.router.DRAWN", 1)
    handle = deployed(3, router="soonest.engines.ray.prefix.PrefixRouter")
    asked = body("x", 0, 10) | {"prompt": "a" * 500}
    home = handle.remote(asked).result(timeout_s=WAIT)[0]
    for _ in range(8):
        settled(handle)
        assert handle.remote(asked).result(timeout_s=WAIT)[0] == home


def test_http_requests_pass_whose_bodies_the_router_does_not_see(deployed, unused_port):
    deployed(2, prefix="/worker")
    url = f"http://127.0.0.1:{unused_port}/worker"
    answers = [httpx2.post(url, json=body(str(i), 0, 5), timeout=WAIT) for i in range(4)]
    assert [answer.json()[1]["id"] for answer in answers] == list("0123")
