"""What several tests of the gateway share."""

import io
import logging

import pytest

from soonest.gateway.observe import write_lines

log = logging.getLogger("soonest.gateway")


@pytest.fixture
def written():
    """What the gateway's log wrote, with its settings put back."""
    before = log.handlers[:], log.level, log.propagate
    stream = io.StringIO()

    def begin(level="info", *, as_json=True):
        write_lines(level, as_json=as_json, stream=stream)
        return stream

    yield begin
    log.handlers[:], log.level, log.propagate = before
