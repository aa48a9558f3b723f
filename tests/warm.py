"""Compile the kernel once, before several test processes would each do it: python -m tests.warm."""

import sys
import time

import numpy as np

from soonest.sim import Options, Workload, simulate
from soonest.sim.forecasts import oracle

if __name__ == "__main__":
    started = time.monotonic()
    tokens = np.array([2, 1])
    simulate(Workload(np.zeros(2), tokens, tokens, oracle(tokens)), "fcfs", Options(), backend="kernel")
    sys.stderr.write(f"kernel ready after {time.monotonic() - started:.0f} s\n")
