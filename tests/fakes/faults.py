"""Faults of the fake engine, in words.

refuse          close the connection without a word             status:503   answer with this status
hang            never answer                                    hang:3       stop after 3 events, connection open
die             reset before a word                             die:3        reset after 3 events
garbage:3       bytes that are no event after 3, then close     error:3      an error event after 3, then the end
slow:0.1        seconds between events                          split:7      7 bytes a TCP segment
gzip            the answer compressed, asked or not             vanish       close the connection after the answer
crlf            events end in \\r\\n\\r\\n                          retry:2      with a status: Retry-After, in seconds
"""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Faults:
    refuse: bool = False
    vanish: bool = False
    gzip: bool = False
    crlf: bool = False
    status: int = 0
    retry: int = 0
    slow: float = 0.0  # seconds
    split: int = 0  # bytes
    hang: int = -1  # after so many events; -1 = never
    die: int = -1
    garbage: int = -1
    error: int = -1

    @property
    def stepwise(self):
        return bool(self.slow) or any(after >= 0 for after in (self.hang, self.die, self.garbage, self.error))


NONE = Faults()
FLAGS = {"refuse", "vanish", "gzip", "crlf"}


def faults(words):
    """Read a fault's words: `die:3,split:7`."""
    if not words:
        return NONE
    said = {}
    for part in words.split(","):
        name, _, value = part.partition(":")
        said[name] = True if name in FLAGS else float(value) if name == "slow" else int(value or 0)
    return Faults(**said)
