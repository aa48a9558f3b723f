"""`soonest reproduce`."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from soonest.cli.cluster import Ray, cluster
from soonest.cli.flags import Html
from soonest.cli.reproduce import flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def reproduce(
    names: flags.Names = None,
    everything: flags.All = False,
    quick: flags.Quick = False,
    seed: flags.Seed = 0,
    workers: flags.Workers = None,
    ray: Ray = None,
    data: flags.Data = None,
    out: flags.Out = None,
    html: Html = None,
) -> None:
    """Run a paper's experiments again, as published and as they should have been, and say which claims stand.

    Prints what stands; every table and figure is in --html, and as JSON in --out, with the command, the seed, the
    versions and the machine. Figures depend on the seed and on --quick, not on the machine.

    Examples:
    `soonest reproduce ssjf --data data --html ssjf.html`

    `soonest reproduce --all --quick --data data`

    `soonest reproduce --all --data data --out results --html report.html`
    """
    from dataclasses import replace

    from soonest.cli.reproduce.output import check, show, write
    from soonest.cli.reproduce.talk import Talk
    from soonest.report.study.origin import cores
    from soonest.studies.reproduction import QUICK, Settings, reproduction

    chosen = _chosen(names or [], everything=everything)
    check(out, html)
    settings = Settings(seed, QUICK if quick else 1.0, cores() if workers is None else workers, data)
    runs = {name: reproduction(name) for name in chosen}
    studies = []
    with cluster(ray, settings.workers) as shared, _ended_in_order():  # Ray has a handler of its own
        settings = replace(settings, cluster=shared)
        for name, run in runs.items():
            with Talk(name) as talk:
                study = run(settings, talk.hear)
            studies.append(study)
            show(study)
            write(studies, out, html)  # what is done stays, should a later one fail


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that processes and what they share end with us; a second one ends at once."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _chosen(names: Sequence[str], *, everything: bool) -> list[str]:
    from soonest.core import SoonestError
    from soonest.studies.reproduction import REPRODUCTIONS

    if everything and names:
        raise SoonestError("give names or --all, not both")
    if not everything and not names:
        raise SoonestError(f"name what to reproduce ({', '.join(REPRODUCTIONS)}), or give --all")
    return list(REPRODUCTIONS) if everything else list(dict.fromkeys(names))
