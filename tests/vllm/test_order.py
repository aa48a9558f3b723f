"""The waiting queue as vLLM sees it: places, the door, cancelling, and what is refused."""

import logging
import math
import re

import pytest
from tests.vllm.alone import Drive, request, scheduler
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler as Plain
from vllm.v1.request import RequestStatus
from vllm.version import __version__ as version

from soonest.core import Need, Policy, PolicyError, Rank
from soonest.engines.vllm import Scheduler
from soonest.engines.vllm.options import Options


def ended(steps):
    """Who left the running, in order, from the tokens that were computed."""
    last = {name: i for i, step in enumerate(steps) for name in step.tokens}
    return sorted(last, key=last.get)


def test_short_forecasts_finish_before_long_ones_that_arrived_earlier(facts):
    lengths = {"long": 80, "longer": 90, "short": 5, "shorter": 3}
    ours = scheduler(Scheduler, facts, slots=1)
    for name, n in lengths.items():
        ours.add_request(request(name, 10, forecast=(n, n, n)))
    assert ended(Drive(ours, lengths).run()) == ["shorter", "short", "long", "longer"]


def test_a_lower_priority_goes_first_whatever_the_forecast(facts):
    lengths = {"a": 5, "b": 50, "c": 70}
    ours = scheduler(Scheduler, facts, slots=1)
    for name, n in lengths.items():
        ours.add_request(request(name, 10, forecast=(n, n, n), priority=-1 if name == "c" else 0))
    assert ended(Drive(ours, lengths).run()) == ["c", "a", "b"]


def test_a_preempted_request_keeps_its_place_and_its_tokens(facts):
    """Four blocks: both run until the fifth is needed; the newer gives way and is the first to come back."""
    lengths = {"first": 40, "second": 38, "third": 50}
    ours = scheduler(Scheduler, facts, slots=2, blocks=4)
    for name, n in lengths.items():
        ours.add_request(request(name, 8, forecast=(n - 5, n - 4, n) if name == "third" else (n, n, n)))
    steps = Drive(ours, lengths).run()
    preempted = [p for step in steps for p in step.preempted]
    joined = [j for step in steps for j in sorted(step.joined)]
    assert preempted[0] == "first"
    assert joined[:4] == ["first", "second", "first", "third"]
    assert ended(steps) == ["second", "first", "third"]
    assert sum(step.tokens.get("first", 0) for step in steps) > 8 + 40  # its tokens are computed again, not its answer
    assert ours.board["evictions"] == len(preempted)
    assert ours.board["admissions"] == len(joined)


def test_keep_decides_who_is_preempted(facts):
    lengths = {"long": 90, "short": 80}
    for policy, victim in (("a_min", "long"), ("a_min(stored, smallest)", "short"), ("fcfs", "long")):
        ours = scheduler(Scheduler, facts, slots=2, blocks=10, options={"policy": policy})
        for name in ("short", "long"):  # the newest is the long one
            low = 30 if name == "short" else 40
            ours.add_request(request(name, 8, forecast=(low, low, 100)))
        steps = Drive(ours, lengths).run()
        assert [p for step in steps for p in step.preempted][:1] == [victim], policy


def test_whoever_cannot_be_scheduled_now_goes_back_to_its_place(facts):
    lengths = {"blocked": 3, "next": 5, "last": 7}
    ours = scheduler(Scheduler, facts, slots=1)
    blocked = True
    ready = ours._handle_blocked_waiting_request
    ours._handle_blocked_waiting_request = lambda r: not (blocked and r.request_id == "blocked") and ready(r)
    for name, n in lengths.items():
        ours.add_request(request(name, 10, forecast=(n, n, n)))
    drive = Drive(ours, lengths)
    drive.step()
    assert [r.request_id for r in ours.running] == ["next"]
    assert len(ours.waiting) == 2
    blocked = False
    assert ended(drive.run()) == ["next", "blocked", "last"]
    assert ours.board["admissions"] == 3  # whoever was put back did not start


def test_a_door_is_open_when_nothing_runs(facts):
    """A forecast that never fits: alone it runs all the same."""
    ours = scheduler(Scheduler, facts, slots=4, blocks=5, options={"policy": "a_max"})
    for name in "abc":
        ours.add_request(request(name, 30, forecast=(2000, 2000, 2000)))
    steps = Drive(ours, dict.fromkeys("abc", 20)).run(most=200)
    assert ended(steps) == ["a", "b", "c"]
    assert max(len(step.tokens) for step in steps) == 1
    assert ours.board["doors_closed"] == 2 * 20  # in every step of "a" and "b" the next one is held back


def test_a_closed_door_hides_nobody_from_the_metrics(facts):
    ours = scheduler(Scheduler, facts, slots=4, blocks=5, options={"policy": "a_max"})
    for name in "abc":
        ours.add_request(request(name, 30, forecast=(40, 40, 40)))
    Drive(ours, dict.fromkeys("abc", 20)).step()
    assert not ours.waiting
    assert len(ours.waiting) == 2
    stats = ours.make_stats()
    assert (stats.num_running_reqs, stats.num_waiting_reqs) == (1, 2)
    assert ours.get_num_unfinished_requests() == 3


def test_whoever_is_cancelled_is_gone(facts):
    lengths = {str(i): 5 + i for i in range(200)}
    ours = scheduler(Scheduler, facts, slots=4, blocks=400)
    for name, n in lengths.items():
        ours.add_request(request(name, 10, forecast=(n, n, n)))
    drive = Drive(ours, lengths)
    drive.step()
    ours.finish_requests(list(lengths)[:100], RequestStatus.FINISHED_ABORTED)
    assert len(ours.waiting) == 100
    ours.finish_requests(list(lengths)[:100], RequestStatus.FINISHED_ABORTED)
    assert [i for i in ended(drive.run()) if int(i) >= 100] == [str(i) for i in range(100, 200)]
    assert not ours.calls


def test_a_cancelled_request_teaches_nothing(facts):
    ours = scheduler(Scheduler, facts, slots=1)
    ours.add_request(request("a", 10))
    drive = Drive(ours, {"a": 50, "b": 4})
    drive.step()
    ours.finish_requests("a", RequestStatus.FINISHED_ABORTED)
    ours.add_request(request("b", 10))
    drive.run()
    assert ours.queue.mean_tokens == 4


def test_the_prefix_cache_can_be_reset_with_requests_running(facts):
    lengths = {"a": 30, "b": 20}
    ours = scheduler(Scheduler, facts, slots=2, prefix_caching=True, options={"policy": "a_max"})
    for name, n in lengths.items():
        ours.add_request(request(name, 40, forecast=(n, n, n)))
    drive = Drive(ours, lengths)
    for _ in range(5):
        drive.step()
    assert ours.reset_prefix_cache(reset_running_requests=True)
    assert ours.running == []
    drive.run()
    assert ours.requests == {}


def test_blocks_that_are_shared_count_once_at_the_door(facts):
    """Ten blocks of common prefix: three requests with four blocks of their own fit 24, counted apart only two."""
    prefix = list(range(10, 170))
    for caching, most in ((True, 3), (False, 1)):
        ours = scheduler(
            Scheduler, facts, slots=3, budget=2048, blocks=24, prefix_caching=caching, options={"policy": "a_max"}
        )
        drive = Drive(ours, {"a": 40, "b": 40, "c": 40})
        ours.add_request(request("a", [*prefix, 300], forecast=(40, 40, 40)))
        drive.step()
        for name in "bc":
            ours.add_request(request(name, [*prefix, 301 if name == "b" else 302], forecast=(40, 40, 40)))
        drive.step()
        drive.step()
        assert len(ours.running) == most
        assert not any(step.preempted for step in drive.run())


@pytest.mark.parametrize("policy", ["a_ell", "two_point", "a_min_randomized", "response_ratio(a_ell)"])
def test_a_policy_that_vllm_cannot_host_is_refused_by_name(facts, policy):
    with pytest.raises(PolicyError, match=rf"{policy.split('(')[0]}.*needs .*quantum"):
        scheduler(Scheduler, facts, options={"policy": policy})


def test_vllms_own_priority_scheduling_is_refused(facts):
    with pytest.raises(PolicyError, match="--scheduling-policy priority"):
        scheduler(Scheduler, facts, scheduling_policy="priority")


class Broken(Policy):
    """Fails at every question."""

    name = "broken"

    def first(self, request):
        raise KeyError(request.id)

    def rank(self, entry):
        raise ZeroDivisionError(entry)

    def reserve(self, entry):
        raise RuntimeError(entry)

    def keep(self, entry):
        return float("nan") * entry.admitted

    def evicted(self, entry):
        raise AttributeError(entry)


class Odd(Broken):
    """Fails at no question, and says what is no rank."""

    name = "odd"

    def rank(self, entry):
        return 5.0 * entry.admitted


class NotANumber(Broken):
    """As well."""

    name = "nan"

    def rank(self, entry):
        return Rank(math.nan * entry.admitted)


class Capricious(Policy):
    """Fails for some."""

    name = "capricious"
    needs = frozenset({Need.EVICT})

    def rank(self, entry):
        return Rank(1 / (entry.request.prompt_tokens - 10))


@pytest.mark.parametrize("policy", ["Broken", "Odd", "NotANumber"])
def test_a_broken_policy_means_arrival_order_and_is_counted_and_logged_once(facts, caplog, policy):
    from tests.vllm.workloads import case, difference, driven

    for seed in range(6):
        load = case(seed, 16, 64)
        load.jobs.priority[:] = 0
        engine = {"slots": load.slots, "blocks": load.blocks}
        with caplog.at_level(logging.ERROR, "vllm.soonest"):
            ours = scheduler(Scheduler, facts, options={"policy": f"tests.vllm.test_order:{policy}"}, **engine)
            steps = driven(load, ours)
        assert difference(steps, driven(load, scheduler(AsyncScheduler, facts, **engine))) is None
        assert ours.board["policy_errors"] > len(load.jobs)
        assert len(caplog.records) == 1
        caplog.clear()


def test_a_request_that_cannot_be_ranked_waits_in_arrival_order(facts):
    ours = scheduler(Scheduler, facts, slots=1, options={"policy": "tests.vllm.test_order:Capricious"})
    for name, prompt in (("a", 12), ("b", 10), ("c", 15)):
        ours.add_request(request(name, prompt, forecast=(5, 5, 5)))
    assert set(ended(Drive(ours, dict.fromkeys("abc", 5)).run())) == {"a", "b", "c"}
    assert ours.board["policy_errors"] > 0


def test_an_odd_forecast_is_counted_and_none(facts):
    ours = scheduler(Scheduler, facts)
    odd = [(1, 2), (3, 2, 1), ("x", 1, 2), (float("nan"),) * 3, (-5, 1, 2), (1, 2, 1e300)]
    for i, forecast in enumerate(odd):
        ours.add_request(request(str(i), 10, forecast=forecast))
    assert ours.board["forecasts_bad"] == len(odd)
    assert not any(call.request.forecast.known for call in ours.calls.values())


@pytest.mark.parametrize(
    ("additional", "environment", "message"),
    [
        ({"soonest": {"polcy": "fcfs"}}, {}, "no option 'polcy'; known: SOONEST_VLLM_POLICY"),
        ({}, {"SOONEST_VLLM_POLCY": "fcfs"}, "no option 'polcy'"),
        ({"soonest": "fcfs"}, {}, "must hold an object"),
        ({"soonest": {"overdue_every": 0}}, {}, "at least 1"),
        ({"soonest": {"overdue_every": "many"}}, {}, "type int, got 'many'"),
        ({}, {"SOONEST_VLLM_WATERMARK": "1.5"}, "share in"),
        ({}, {"SOONEST_VLLM_OVERDUE_AFTER": "-1"}, "seconds >= 0"),
        ({"soonest": {"policy": ["fcfs"]}}, {}, "type str"),
        ({"soonest": {"policy": 5}}, {}, "type str, got 5"),
        ({"soonest": {"overdue_every": 2.5}}, {}, "type int, got 2.5"),
        ({"soonest": {"forecast_budget": 0}}, {}, "seconds > 0"),
    ],
)
def test_an_option_that_is_none_stops_the_start(additional, environment, message):
    with pytest.raises(PolicyError, match=message):
        Options.read(additional, environment)


def test_options_come_from_the_environment_and_the_flag_wins():
    environment = {
        "SOONEST_VLLM_POLICY": "a_min",
        "SOONEST_VLLM_OVERDUE_AFTER": "30",
        "SOONEST_VLLM_SERVICE_HOST": "10.0.0.7",
        "SOONEST_VLLM_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "SOONEST_SIM_POLICY": "fcfs",
    }
    found = Options.read({"soonest": {"policy": "fcfs"}, "other": 1}, environment)
    assert found == Options(policy="fcfs", overdue_after=30.0)


def test_the_watermark_is_vllms_unless_ours_is_given(facts):
    assert scheduler(Scheduler, facts, blocks=100).kv_cache_manager.watermark_blocks == 0
    ours = scheduler(Scheduler, facts, blocks=100, options={"watermark": 0.07})
    assert ours.kv_cache_manager.watermark_blocks == 7


def test_an_untested_version_is_named_once(facts, monkeypatch, caplog):
    monkeypatch.setattr("soonest.engines.vllm.scheduler.version", "0.99.0")
    with caplog.at_level(logging.WARNING, "vllm.soonest"):
        scheduler(Scheduler, facts)
    assert [r.getMessage() for r in caplog.records] == ["vLLM 0.99.0 is untested with this soonest; tested: 0.32"]


@pytest.mark.parametrize("name", ["_inflight_prefills", "kv_cache_manager.watermark_blocks", "max_num_active_reqs"])
def test_a_vllm_that_lacks_what_we_build_on_is_refused_by_name(facts, monkeypatch, name):
    *path, last = name.split(".")
    made = Plain.__init__

    def without(self, *args, **kwargs):
        made(self, *args, **kwargs)
        holder = self
        for part in path:
            holder = getattr(holder, part)
        delattr(holder, last)

    monkeypatch.setattr(Plain, "__init__", without)
    with pytest.raises(PolicyError, match=rf"vLLM {re.escape(version)} has no Scheduler\.{re.escape(name)}: .*0\.32"):
        scheduler(Scheduler, facts)


def test_a_hook_that_vllm_no_longer_calls_is_missed(facts, monkeypatch):
    monkeypatch.delattr(Plain, "_update_request_as_session")
    with pytest.raises(PolicyError, match=r"has no AsyncScheduler\._update_request_as_session"):
        scheduler(Scheduler, facts)


def test_the_overdue_lane_bounds_waiting_by_share(facts):
    lengths = {"old": 50, **{str(i): 2 for i in range(30)}}
    ours = scheduler(Scheduler, facts, slots=1, options={"overdue_after": 5, "overdue_every": 4})
    clock = iter(range(10_000))
    ours.clock = lambda: next(clock)
    for name, n in lengths.items():
        ours.add_request(request(name, 10, forecast=(n, n, n)))
    order = ended(Drive(ours, lengths).run())
    assert 0 < order.index("old") < 10
