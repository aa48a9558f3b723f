"""What policies share that judge a request by the tokens it has."""

from soonest.core import Entry, Policy, Request


class Attained(Policy):
    """Let the estimate be the fewest tokens that the answer can have; rank and keep by what is left to do.

    Memory is allocated token by token. On overflow the worst by rank goes first, as it does when others take places.
    """

    def first(self, request: Request) -> float:  # noqa: ARG002 - it is the same for all
        """One token: every answer has that."""
        return 1.0

    def keep(self, entry: Entry) -> float:
        """The better the rank, the more worth keeping."""
        return -self.rank(entry).base

    def evicted(self, entry: Entry) -> float:
        """More than it has generated, also after a restart."""
        return float(fewest(entry))


def fewest(entry: Entry) -> int:
    """The fewest tokens that the answer can have, by what its attempts have shown."""
    return max(entry.estimate, entry.generated + 1)
