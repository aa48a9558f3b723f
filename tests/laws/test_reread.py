"""How much it would change to read ranks at every iteration instead of at events only."""

import numpy as np
from tests import reference

from soonest.core import Rules
from soonest.policies import policy
from soonest.sim import Options, Workload, beliefs

INSTANCES = 150


def share_that_differs(words):
    differing = 0
    for seed in range(INSTANCES):
        generator = np.random.default_rng(seed)
        outputs = generator.integers(1, 12, 10)
        arrival = np.sort(generator.integers(0, 20, 10)).astype(float)
        work = Workload(arrival, generator.integers(0, 5, 10), outputs, beliefs("around(0.5)", outputs))
        case = work, policy(words), Options(Rules.paper(20))
        often, seldom = (reference.run(*case, reread=reread) for reread in (True, False))
        differing += list(often.finished) != list(seldom.finished)
    return differing / INSTANCES


def test_only_ranks_of_unequal_slopes_notice(capsys):
    shares = {words: share_that_differs(words) for words in ("a_max", "aging(a_max)", "response_ratio(a_max)")}
    with capsys.disabled():
        print("\nre-reading ranks at every iteration changes:", {w: f"{100 * s:.0f} %" for w, s in shares.items()})  # noqa: T201 - the figure is the point
    assert shares["a_max"] == shares["aging(a_max)"] == 0
    assert shares["response_ratio(a_max)"] < 0.5
