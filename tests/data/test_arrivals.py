import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import TraceError
from soonest.data import Trace, fixed, gamma, lengths_on, poisson, repeat, replayed

SIZES = st.integers(1, 200)
RATES = st.floats(1e-3, 1e3)
SHAPES = st.floats(0.05, 20)
SEEDS = st.integers(0, 2**63)


def make(arrival, **more):
    n = len(arrival)
    fields = {
        "prompt_tokens": np.arange(n) + 10,
        "output_tokens": np.arange(n) + 1,
        "tenant": np.array([f"t{i}" for i in range(n)]),
        "predicted": np.arange(n),
    }
    return Trace("t", np.array(arrival, dtype=np.float64), **(fields | more))


@given(SIZES, RATES, SHAPES, SEEDS)
def test_arrivals_begin_at_zero_and_never_decrease(n, rate, burstiness, seed):
    for times in (poisson(n, rate, seed), gamma(n, rate, burstiness, seed), fixed(n, rate)):
        assert times.shape == (n,)
        assert times.dtype == np.float64
        assert times[0] == 0
        assert (np.diff(times) >= 0).all()
        assert np.isfinite(times).all()


@given(SIZES, RATES, SHAPES, SEEDS)
def test_the_same_seed_gives_the_same_bytes(n, rate, burstiness, seed):
    assert gamma(n, rate, burstiness, seed).tobytes() == gamma(n, rate, burstiness, seed).tobytes()
    assert poisson(n, rate, seed).tobytes() == poisson(n, rate, seed).tobytes()


def test_another_seed_gives_other_times():
    assert not np.array_equal(poisson(50, 1.0, 1), poisson(50, 1.0, 2))


@pytest.mark.parametrize("rate", [0.01, 3.0, 500.0])
@pytest.mark.parametrize("burstiness", [0.2, 1.0, 4.0])
def test_gamma_gaps_have_the_rate_and_the_variation_asked_for(rate, burstiness):
    gaps = np.diff(gamma(200_000, rate, burstiness, seed=7))
    assert gaps.mean() == pytest.approx(1 / rate, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(burstiness**-0.5, rel=0.03)


def test_poisson_counts_are_as_variable_as_they_are_large():
    times = poisson(200_000, 10.0, seed=3)
    counts = np.bincount(times.astype(int))[:-1]
    assert counts.mean() == pytest.approx(10, rel=0.02)
    assert counts.var() == pytest.approx(10, rel=0.05)


def test_poisson_is_gamma_with_burstiness_one():
    assert poisson(99, 2.0, 5).tobytes() == gamma(99, 2.0, 1.0, 5).tobytes()


def test_burstiness_does_not_change_the_meaning_of_a_rate_twice_as_high():
    assert gamma(99, 4.0, 0.5, 5) == pytest.approx(gamma(99, 2.0, 0.5, 5) / 2)


def test_fixed_gaps_are_all_the_same():
    assert fixed(4, 2.0).tolist() == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e-320])
def test_an_impossible_rate_is_refused(rate):
    for make_times in (lambda: poisson(3, rate, 0), lambda: gamma(3, rate, 1.0, 0), lambda: fixed(3, rate)):
        with pytest.raises(TraceError, match="rate must be"):
            make_times()


@pytest.mark.parametrize("n", [0, -1, 1 << 40])
def test_an_impossible_count_is_refused(n):
    for make_times in (lambda: poisson(n, 1, 0), lambda: fixed(n, 1), lambda: repeat(make([0.0]), n)):
        with pytest.raises(TraceError, match="calls, got"):
            make_times()


@pytest.mark.parametrize("burstiness", [0, -1, float("nan"), float("inf"), 1e-9])
def test_an_impossible_burstiness_is_refused(burstiness):
    with pytest.raises(TraceError, match="burstiness must lie in"):
        gamma(3, 1.0, burstiness, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(TraceError, match="seed"):
        poisson(3, 1.0, -1)


def test_a_replay_begins_at_zero_and_keeps_its_gaps():
    assert replayed(make([2, 3, 7])).tolist() == [0, 1, 5]


def test_a_replay_twice_as_fast_takes_half_as_long():
    assert replayed(make([2, 3, 7]), speedup=2).tolist() == [0, 0.5, 2.5]


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30).map(sorted), RATES)
def test_a_replay_has_the_rate_asked_for(times, rate):
    trace = make(times)
    if times[-1] - times[0] < 1e-3:
        return
    assert trace.at(replayed(trace, rate=rate)).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("trace", "options", "said"),
    [
        (make([0, 1], has_arrivals=False), {}, "has no arrival times: use poisson"),
        (make([0, 1]), {"rate": 1, "speedup": 1}, "not both"),
        (make([0, 1]), {"rate": 0}, "rate must be"),
        (make([0, 1]), {"speedup": float("nan")}, "speedup must be"),
        (make([0, 0]), {"rate": 2}, "at once"),
        (make([0]), {"rate": 2}, "at once"),
    ],
)
def test_an_impossible_replay_is_refused(trace, options, said):
    with pytest.raises(TraceError, match=said):
        replayed(trace, **options)


def test_a_repeated_trace_waits_one_mean_gap_between_laps():
    trace = repeat(make([0, 1, 4], blocks=((1,), (2,), (3,))), 7)
    assert trace.arrival.tolist() == [0, 1, 4, 6, 7, 10, 12]
    assert trace.output_tokens.tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert trace.tenant.tolist() == ["t0", "t1", "t2", "t0", "t1", "t2", "t0"]
    assert trace.blocks == ((1,), (2,), (3,), (1,), (2,), (3,), (1,))


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=20).map(sorted), st.integers(2, 5))
def test_whole_laps_keep_the_rate(times, laps):
    trace = make(times)
    if times[-1] - times[0] < 1e-3:
        return
    assert repeat(trace, laps * len(times)).rate == pytest.approx(trace.rate)


def test_a_repeat_shorter_than_the_trace_is_its_head():
    assert repeat(make([0, 1, 4]), 2).arrival.tolist() == [0, 1]


def test_calls_without_times_repeat_without_times():
    trace = repeat(make([0, 0], has_arrivals=False), 5)
    assert trace.arrival.tolist() == [0] * 5
    assert not trace.has_arrivals


@given(st.integers(1, 20), st.integers(1, 20), SEEDS)
def test_each_length_is_used_once_before_any_is_used_again(n, m, seed):
    merged = lengths_on(make(np.arange(n)), make(np.zeros(m)), seed)
    uses = np.bincount(merged.output_tokens, minlength=m + 1)[1:]
    assert uses.sum() == n
    assert uses.max() - uses.min() <= 1


def test_lengths_bring_their_prompts_and_predictions_but_not_their_times_or_tenants():
    arrivals, lengths = make([0, 2, 5]), make([0, 0, 0], tenant=np.array(["x"] * 3), has_arrivals=False)
    merged = lengths_on(arrivals, lengths, seed=1)
    assert merged.has_arrivals
    assert merged.arrival.tolist() == [0, 2, 5]
    assert merged.tenant.tolist() == ["t0", "t1", "t2"]
    assert (merged.prompt_tokens - merged.output_tokens == 9).all()
    assert (merged.predicted == merged.output_tokens - 1).all()


def test_lengths_without_prompts_leave_the_prompts_and_blocks_of_the_arrivals():
    arrivals = make([0, 2, 5], blocks=((1,), (2,), (3,)), block_tokens=16)
    lengths = make([0, 0], prompt_tokens=np.zeros(2, np.int64), blocks=((7,), (8,)))
    merged = lengths_on(arrivals, lengths, seed=1)
    assert merged.prompt_tokens.tolist() == [10, 11, 12]
    assert (merged.blocks, merged.block_tokens) == (((1,), (2,), (3,)), 16)


def test_lengths_are_shuffled_by_their_seed_alone():
    arrivals, lengths = make(np.arange(50)), make(np.zeros(50))
    orders = [lengths_on(arrivals, lengths, seed).output_tokens.tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])
