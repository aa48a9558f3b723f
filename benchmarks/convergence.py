"""Simulated ratios to hindsight against the closed forms, over doublings of memory and backlog.

    python benchmarks/convergence.py --out benchmarks/results/convergence.json

All arrive at 0, prompts are empty, rules are the theory papers'. `a_min_randomized` and `a_ell` on two-point lengths,
`a_min_randomized` on geometric ones, as ratios of total end-to-end latency to H-SF (`a_min` with the oracle): means of
the seeds, beside the closed form for the same length distribution.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict
from pathlib import Path

import numpy as np

from soonest.report import write_json
from soonest.studies.convergence import CASES, measure

SEEDS = 10


def main() -> None:
    """Measure every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--doublings", type=int, default=4)
    given = parser.parse_args()
    found = []
    for case in CASES:
        rows = measure(case, given.doublings, given.seeds)
        found.append({**asdict(case), "rows": rows})
        print(f"{case.policy} {case.name}: closed form {case.expected:.4f}")
        for row in rows:
            print(
                "  M={memory:.0f} n={jobs:.0f} ratio={ratio:.4f} +-{half_width:.4f} gap={gap:+.4f}".format(**row),
                flush=True,
            )
    if given.out:
        import numba  # noqa: PLC0415 - only for its version

        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        command = "python benchmarks/convergence.py --out benchmarks/results/convergence.json"
        write_json(given.out, {"command": command, "seeds": given.seeds, "versions": versions, "cases": found})


if __name__ == "__main__":
    main()
