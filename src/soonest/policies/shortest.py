"""Shortest forecast first."""

from soonest.core import Numbers, Plain


class Shortest(Plain):
    """Serve the request expected to finish soonest: SSJF; with a perfect forecast, SJF.

    Long requests can starve under overload: wrap it in `response_ratio` or `aging`, or set a waiting bound.
    Qiu et al., 2024 (arXiv:2404.08509).
    """

    name = "shortest"
    source = "SSJF (arXiv:2404.08509)"
    rows = (Numbers(expected=1),)
