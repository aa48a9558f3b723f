"""The look-ahead against a reference that walks every running entry through every future tick."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import Entry, Load, Request, Rules


@dataclass
class Runner:
    """`size` tokens at the next tick, one more at each that follows; `left` of them are predicted."""

    entry: Entry
    size: int
    left: int

    def held(self, tick, first, *, stays):
        """Tokens at a future tick: everyone holds at `first`, later only who is predicted to run, or all who stay."""
        last = max(first, self.left)
        if tick <= last:
            return self.size + tick - 1
        return self.size + last - 1 if stays else 0


class Reference:
    def __init__(self, rules, holds):
        self.rules, self.holds, self.runners = rules, holds, []

    def runner(self, entry, reserve):
        size = entry.request.prompt_tokens + entry.generated + (1 if self.rules.newest_held else 0)
        return Runner(entry, size, 1 if reserve is None else max(reserve - entry.generated, 1))

    def blocks(self, tokens):
        whole, rest = divmod(tokens, self.rules.block_size)
        return whole + (rest > 0)

    def at(self, ticks):
        return sum(self.blocks(r.size + ticks) for r in self.runners)

    def until_full(self, limit):
        ticks = 0
        while self.at(ticks) <= limit:
            ticks += 1
        return ticks

    def fits(self, entry, reserve, limit, ahead):
        if not self.runners:
            return True
        new, first = self.runner(entry, reserve), ahead + 1
        last = first if reserve is None else max(first, ahead + new.left, *(r.left for r in self.runners))
        for tick in range(first, last + 1):
            start = tick - ahead
            peak = self.blocks(new.size + min(start, new.left) - 1) if start <= new.left or self.holds else 0
            peak += sum(self.blocks(r.held(tick, first, stays=self.holds)) for r in self.runners)
            if peak > limit:
                return False
        return True

    def stall(self, runner):
        runner.size -= 1
        runner.left += 1

    def advance(self, ticks):
        for runner in self.runners:
            runner.size += ticks
            runner.left -= ticks


NEW = st.tuples(st.integers(1, 20), st.integers(0, 9), st.none() | st.integers(1, 8) | st.integers(1, 20))
ENTRIES = NEW.map(lambda facts: facts if facts[2] is None else (*facts[:2], max(1, facts[1] + facts[2] - 2)))
"""Prompt, tokens generated, and a reserve: mostly a few tokens more than generated."""
STEPS = st.lists(
    st.tuples(st.just("add"), ENTRIES)
    | st.tuples(st.just("remove"), st.integers(0, 20))
    | st.tuples(st.just("stall"), st.integers(0, 20))
    | st.tuples(st.just("advance"), st.integers(1, 12)),
    max_size=9,
)


def made(number, facts):
    prompt, generated, _ = facts
    return Entry(Request(str(number), 0.0, prompt), generated=generated, sequence=number)


def take(load, reference, step, number):
    kind, value = step
    if kind == "add":
        entry = made(number, value)
        load.add(entry, value[2])
        reference.runners.append(reference.runner(entry, value[2]))
    elif kind == "advance":
        load.advance(value)
        reference.advance(value)
    elif reference.runners:
        runner = reference.runners[value % len(reference.runners)]
        if kind == "remove":
            load.remove(runner.entry)
            reference.runners.remove(runner)
        else:
            load.stall(runner.entry)
            reference.stall(runner)


@settings(max_examples=300)
@given(
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.lists(ENTRIES, min_size=1, max_size=4),
    STEPS,
    st.lists(ENTRIES, min_size=2, max_size=2),
)
def test_the_load_agrees_with_walking_every_trajectory(size, newest, overdue, many, steps, asking):
    rules = Rules(blocks=1000, block_size=size, newest_held=newest)
    load, reference = Load(rules, holds=overdue), Reference(rules, overdue)
    for number, step in enumerate([("add", facts) for facts in many] + steps):
        take(load, reference, step, number)
        assert len(load) == len(reference.runners)
        for ahead in range(10):
            assert load.at(ahead) == reference.at(ahead)
            now = reference.at(ahead)
            if reference.runners:
                assert load.until_full(now) == reference.until_full(now) > ahead
            for facts in asking:
                new = made(999, facts)
                for room in range(now, now + 20, 3):
                    assert load.fits(new, facts[2], room, ahead) == reference.fits(new, facts[2], room, ahead)
        assert load.next_blocks == reference.at(0)


@given(st.integers(1, 4), st.lists(ENTRIES, min_size=1, max_size=5), st.integers(0, 9), st.sets(st.integers(0, 4)))
def test_a_load_without_some_is_what_it_would_be_had_they_gone(size, many, ticks, gone):
    load, left, entries = Load(Rules(block_size=size)), Load(Rules(block_size=size)), []
    for number, facts in enumerate(many):
        entries.append(made(number, facts))
        for one in (load, left):
            one.add(entries[-1], facts[2])
            one.advance(ticks)
    out = [entries[i] for i in gone if i < len(entries)]
    before = [load.at(ahead) for ahead in range(10)]
    copy = load.without(out)
    for entry in out:
        left.remove(entry)
    assert [copy.at(ahead) for ahead in range(10)] == [left.at(ahead) for ahead in range(10)]
    assert (len(copy), copy.tick) == (len(left), left.tick)
    new = made(999, (5, 0, 7))
    assert [copy.fits(new, 7, room) for room in range(90)] == [left.fits(new, 7, room) for room in range(90)]
    assert [load.at(ahead) for ahead in range(10)] == before


@given(st.integers(1, 8), st.booleans(), st.lists(ENTRIES, min_size=1, max_size=8), st.integers(0, 40))
def test_what_was_found_to_fit_never_overflows_while_everyone_ends_in_time(size, newest, many, limit):
    rules = Rules(blocks=1000, block_size=size, newest_held=newest)
    load, ends = Load(rules), {}
    for number, facts in enumerate(many):
        entry = made(number, facts)
        reserve = facts[2] or 1
        if load.fits(entry, reserve, limit) and (
            ends or rules.held(facts[0], max(facts[1], reserve - 1)) <= limit * size
        ):
            load.add(entry, reserve)
            ends[number] = (entry, max(reserve - facts[1], 1))
    for tick in range(1, 50):
        assert load.next_blocks <= limit or not ends
        load.advance()
        for number in [n for n, (_, end) in ends.items() if end == tick]:
            load.remove(ends.pop(number)[0])
    assert (len(load), load.next_blocks) == (0, 0)


def test_a_request_that_fits_exactly_is_admitted():
    load = Load(Rules.paper(10))
    load.add(Entry(Request("a", 0.0, 3), sequence=0), 2)  # holds 4, 5 and is gone
    new = Entry(Request("b", 0.0, 2), sequence=1)  # holds 3, 4, 5, ...
    assert load.fits(new, 2, 9)
    assert not load.fits(new, 2, 8)
    assert load.fits(new, 7, 9)
    assert not load.fits(new, 8, 9)


def test_a_reserve_of_nothing_asks_for_the_next_token_alone():
    load = Load(Rules.paper(10))
    load.add(Entry(Request("a", 0.0, 3), sequence=0), 100)
    new = Entry(Request("b", 0.0, 2), sequence=1)
    assert load.fits(new, None, 7)
    assert not load.fits(new, None, 6)
    assert not load.fits(new, 2, 102)  # asking for more, it counts all that the other will hold
    assert load.fits(new, 2, 103)


def test_an_idle_engine_admits_anyone():
    assert Load(Rules.paper(10)).fits(Entry(Request("a", 0.0, 500), sequence=0), 500, 1)
    assert Load(Rules.paper(10)).until_full(1) > 1 << 50


@pytest.mark.parametrize(("holds", "fits"), [(False, True), (True, False)])
def test_an_attempt_past_its_reserve_ends_next_or_stays_as_the_policy_wants(holds, fits):
    load = Load(Rules.paper(10), holds=holds)
    load.add(Entry(Request("a", 0.0, 3), sequence=0), 1)
    load.advance(2)  # one token past its reserve: 6 at the next tick
    assert load.fits(Entry(Request("b", 0.0, 2), sequence=1), 3, 9) is fits  # 3, 4, 5 beside 6


def test_a_policy_that_holds_counts_on_nobody_ending():
    load = Load(Rules.paper(10), holds=True)
    load.add(Entry(Request("a", 0.0, 1), sequence=0), 2)  # 2, then 3, and 3 for ever
    assert load.fits(Entry(Request("b", 0.0, 1), sequence=1), 6, 10)
    assert not load.fits(Entry(Request("b", 0.0, 1), sequence=1), 6, 9)
    free = Load(Rules.paper(10))
    free.add(Entry(Request("a", 0.0, 1), sequence=0), 2)
    assert free.fits(Entry(Request("b", 0.0, 1), sequence=1), 6, 7)


def test_kept_tokens_count_in_what_is_held_and_not_in_what_remains():
    load = Load(Rules.paper(100))
    load.add(Entry(Request("a", 0.0, 1), sequence=0), 100)
    kept = Entry(Request("b", 0.0, 10), generated=5, sequence=1)
    assert load.fits(kept, 7, 102)
    one, two = 2 + 16, 3 + 17
    assert load.at(0) + 16 == one
    assert not load.fits(kept, 7, max(one, two) - 1)
