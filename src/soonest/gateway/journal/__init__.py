"""The journal's writers: a row for each request, in groups, from one thread, and serving goes on when they fail."""

from soonest.gateway.journal.journal import Journal, journal

__all__ = ["Journal", "journal"]
