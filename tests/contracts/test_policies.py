"""Every policy keeps the contract, and the contract's test finds each way to break it."""

import itertools
import sys
from dataclasses import replace

import pytest

from soonest.core import Need, Numbers, Plain, Policy, PolicyError, Rank
from soonest.policies import BUILT_IN, Aging, ResponseRatio, Shortest, known_policies, policy
from soonest.testing import check_policy


class Code(Policy):
    """Serve by a rank that only code can say."""

    name = "code"

    def rank(self, entry):
        return Rank(entry.request.prompt_tokens % 7, -entry.estimate / 9)

    def quantum(self, entry, draw):
        return max(1, int(entry.estimate * draw))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_policy_keeps_the_contract(name):
    check_policy(policy(name))


@pytest.mark.parametrize("key", ["stored", "live"])
@pytest.mark.parametrize("order", ["smallest", "largest"])
def test_each_a_min_keeps_the_contract(key, order):
    check_policy(policy(f"a_min({key}, {order})"))


@pytest.mark.parametrize("inner", [*BUILT_IN.values(), Code])
def test_a_wrapper_keeps_the_contract_around_any_policy(inner):
    check_policy(ResponseRatio(inner()))
    check_policy(Aging(inner(), rate=0.25))


@pytest.mark.parametrize("inner", [Shortest(), Code(), policy("two_point"), policy("a_min_randomized")])
def test_nested_wrappers_keep_the_contract(inner):
    check_policy(Aging(ResponseRatio(Aging(inner, rate=3)), rate=0.5))
    check_policy(ResponseRatio(Aging(inner)))


class Impure(Code):
    """Answers once so, once otherwise."""

    def __init__(self):
        self.counter = itertools.count()

    def keep(self, entry):  # noqa: ARG002
        return next(self.counter)


class Remembers(Code):
    """Answers by the identity of an entry."""

    def keep(self, entry):
        return id(entry)


class Changes(Code):
    """Writes to an entry."""

    def keep(self, entry):
        entry.estimate += 1
        return 0.0


class Shifted(Plain):
    """Says other numbers than it answers."""

    name = "shifted"
    rows = (Numbers(age=1),)


class TwoRows(Plain):
    """Has as many rows as it wants."""

    name = "two_rows"
    rows = (Numbers(age=1), Numbers(expected=1))

    def row(self, request):
        return 2 if request.forecast.low > 5000 else 0


class RowByArrival(Plain):
    """Chooses its row by something else than the forecast."""

    name = "row_by_arrival"
    rows = (Numbers(age=1), Numbers(expected=1))

    def row(self, request):
        return int(request.arrival > 10)


class Silent(Policy):
    """Has no rank."""

    name = "silent"


def code(**overrides):
    return type("Broken", (Code,), {"__doc__": "Breaks a law.", **overrides})()


def answers(question, value):
    return code(**{question: lambda *_: value})


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Impure(), "the same question"),
        (Remembers(), "the same question"),
        (Changes(), "must not change the entry"),
        (Silent(), "one raised NotImplementedError"),
        (answers("rank", Rank(float("nan"))), "`rank`"),
        (answers("rank", Rank(0.0, float("inf"))), "`rank`"),
        (answers("rank", 3.0), "`rank`"),
        (answers("rank", (1.0, 2.0, 3.0)), "`rank`"),
        (answers("first", -1.0), "`first`"),
        (answers("first", float("inf")), "`first`"),
        (answers("first", None), "`first`"),
        (answers("reserve", 0), "`reserve`"),
        (answers("reserve", 2.5), "`reserve`"),
        (answers("reserve", True), "`reserve`"),  # noqa: FBT003
        (answers("keep", float("nan")), "`keep`"),
        (answers("keep", "last"), "`keep`"),
        (answers("evicted", 1.0), "`evicted`"),
        (answers("evicted", float("inf")), "`evicted`"),
        (code(evicted=lambda _, entry: entry.generated), "`evicted`"),
        (answers("quantum", 0), "`quantum`"),
        (code(quantum=lambda _, entry, draw: int(entry.estimate * draw)), "`quantum`"),  # 0 for a small draw
        (answers("yields", None), "`yields`"),
        (answers("yields", True), "Need.DISPLACE"),  # noqa: FBT003
        (code(yields=lambda *_: 1, needs=frozenset({Need.DISPLACE})), "`yields`"),
        (answers("row", 1), "`row`"),
        (answers("row", -1), "`row`"),
        (TwoRows(), "`row` must lie in 0..1"),
        (RowByArrival(), "`row` must depend on the forecast alone"),
        (code(name="Two Words"), "`name`"),
        (code(name=""), "`name`"),
        (code(name="a1"), "`name`"),
        (code(__doc__=None), "docstring"),
        (code(__doc__="word"), "docstring"),
        (code(needs={Need.EVICT}), "`needs`"),
        (code(needs=frozenset({"evict and more"})), "`needs`"),
        (code(holds=None), "`holds`"),
        (code(ranks_unknown=1), "`ranks_unknown`"),
    ],
)
def test_a_broken_law_is_found_and_named(broken, law):
    with pytest.raises(PolicyError) as raised:
        check_policy(broken)
    assert law in str(raised.value)


@pytest.mark.parametrize(
    ("question", "row"),
    [
        ("first", Numbers(age=1, first_low=0.5)),
        ("rank", Numbers(age=2)),
        ("rank", Numbers(age=1, ratio=1e-6)),
        ("rank", Numbers(age=1, expected=1)),
        ("rank", Numbers(age=1, estimate=1)),
        ("reserve", Numbers(age=1, reserve_estimate=True)),
        ("keep", Numbers(age=1, keep_live=1)),
        ("keep", Numbers(age=1, keep_estimate=1)),
        ("keep", Numbers(age=1, keep_admitted=1)),
        ("evicted", Numbers(age=1, grow=3)),
        ("evicted", Numbers(age=1, plus=9)),
        ("evicted", Numbers(age=1, lift=1)),
        ("quantum", Numbers(age=1, quantum_first=True)),
        ("quantum", Numbers(age=1, quantum_hazard=True)),
    ],
)
def test_an_answer_that_differs_from_the_numbers_is_found(question, row):
    truth = Shifted()
    kind = type("Broken", (Shifted,), {"__doc__": "Breaks a law.", question: getattr(truth, question)})
    broken = kind()
    broken.rows = (row,)
    with pytest.raises(PolicyError, match=f"`{question}` must answer as its `numbers` do"):
        check_policy(broken)


def test_numbers_know_nobody_that_yields():
    kind = type("Broken", (Shifted,), {"__doc__": "Breaks a law.", "yields": lambda *_: True})
    kind.needs = frozenset({Need.DISPLACE})
    with pytest.raises(PolicyError, match="`yields` must answer as its `numbers` do"):
        check_policy(kind())


def test_the_message_shows_the_entry():
    with pytest.raises(PolicyError, match=r"policy 'code' \(Broken\): .*shown by Entry\(request=Request\(id='request-"):
        check_policy(answers("reserve", 0))


THIRD_PARTY = '''
from soonest.core import Policy, Rank

class Latest(Policy):
    """Serve whoever came last."""

    name = "latest"

    def __init__(self, weight=1.0):
        self.weight = weight

    def rank(self, entry):
        return Rank(-self.weight * entry.request.arrival)

NOTHING = 3
'''


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A distribution of somebody else on the import path, with a policy of theirs and a broken one."""
    (tmp_path / "latest_first.py").write_text(THIRD_PARTY)
    info = tmp_path / "latest_first-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latest-first\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[soonest.policies]\nlatest = latest_first:Latest\nfcfs = latest_first:Latest\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield info
    sys.modules.pop("latest_first", None)


@pytest.mark.parametrize("words", ["latest_first:Latest", "latest"])
def test_a_third_partys_policy_is_used_by_path_and_by_entry_point(elsewhere, words):
    assert elsewhere.is_dir()
    made = policy(f"{words}(weight=2)")
    assert (type(made).__name__, made.weight) == ("Latest", 2)
    assert type(policy(words)) is type(made)
    check_policy(made)
    wrapped = policy(f"aging({words}, rate=3)")
    assert type(wrapped.inner) is type(made)
    check_policy(wrapped)


def test_an_entry_point_is_known_and_cannot_replace_a_built_in(elsewhere):
    assert elsewhere.is_dir()
    assert list(known_policies()) == [*BUILT_IN, "latest"]
    assert type(policy("fcfs")) is BUILT_IN["fcfs"]
    with pytest.raises(PolicyError, match=r"known: .*aging, latest"):
        policy("lates")


def test_somebody_elses_broken_policy_leaves_the_others_alone(elsewhere):
    (elsewhere / "entry_points.txt").write_text("[soonest.policies]\ngone = no_such_module:Gone\n")
    assert policy("aging(fcfs)").name == "aging"
    with pytest.raises(PolicyError, match=r"no_such_module:Gone"):
        policy("gone")


@pytest.mark.parametrize("words", ["latest_first:NOTHING", "latest_first:Absent", "absent_module:A", ".relative:A"])
def test_what_is_no_policy_elsewhere_is_refused_by_name(elsewhere, words):
    assert elsewhere.is_dir()
    with pytest.raises(PolicyError, match=words.rpartition(":")[2]):
        policy(words)


def test_rows_can_be_replaced_without_touching_the_shared_ones():
    row = policy("a_ell").rows[0]
    assert replace(row, lift=2) != row
    assert policy("a_ell").rows[0] is row
