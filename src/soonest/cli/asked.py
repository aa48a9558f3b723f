"""Prompts, predictors and journals of `soonest sim`, from their flags."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.sim import StepTime
    from soonest.studies import Arm
    from soonest.studies.live import Asked
    from soonest.studies.replay import Replay

REPLAYED = 20_000
"""Requests of a journal that are replayed unless a number is given."""
AGO = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def predictors(words: Sequence[str]) -> dict[str, str]:
    """Folders by the names that policies call them."""
    from soonest.core import SimulationError
    from soonest.sim import SOURCES

    found = {}
    for word in words:
        name, sign, folder = word.partition("=")
        key = name if sign else ("predictor" if len(words) == 1 else Path(word).name)
        if key in found or key in SOURCES or not re.fullmatch(r"[\w.-]+", key):
            raise SimulationError(
                f"--predictor {word}: call it something else, as in --predictor mine={folder or word}"
            )
        found[key] = folder or word
    return found


def check_named(named: dict[str, str], arms: Sequence[Arm]) -> None:
    """Refuse a predictor that no policy is told."""
    from soonest.core import SimulationError

    for name in named:
        if all(arm.forecast != name for arm in arms):
            raise SimulationError(f"no policy is told the predictor {name!r}: name it, as in --policy shortest@{name}")


def prompts(
    path: Path, model: str | None, share: float | None, cut: int | None, seed: int, named: dict[str, str]
) -> Asked:
    """Prompts to serve, and the predictors that read them; a wrong folder is refused before long work."""
    from functools import partial

    from soonest.cli.forecasts.flags import check_share
    from soonest.cli.forecasts.measuring import tell_if_learned
    from soonest.data.examples import guess_columns, read_examples
    from soonest.studies.live import Asked, loaded

    typer.echo(f"{path}: {guess_columns(path)}", err=True)
    examples = read_examples(path, model=model, cut=cut)
    train = None
    if share is not None:
        check_share(share)
        train, examples = examples.split((1 - share, share), seed)
    for name, folder in named.items():
        tell_if_learned(name, loaded(folder).card_, path, train)
    return Asked(examples, {name: partial(loaded, folder) for name, folder in named.items()})


def replay(
    url: str,
    since: str | None,
    until: str | None,
    requests: int | None,
    model: str | None,
    others: Mapping[str, object],
) -> Replay:
    """A journal to replay; `others` are flags that would take its place, by their names."""
    from soonest.core import SimulationError
    from soonest.core.errors import without_password
    from soonest.data.journal import read_journal, read_notes
    from soonest.studies.replay import Replay

    for name, given in others.items():
        if given:
            raise SimulationError(f"--journal and --{name} both say what to serve: give one of them")
    if requests is not None and requests < 1:
        raise SimulationError(f"--requests must be at least 1, got {requests}")
    url = journal_url(url)
    rows = read_journal(
        url,
        since=None if since is None else moment(since, "--since"),
        until=None if until is None else moment(until, "--until"),
        last=None if requests is not None else 2 * REPLAYED,
        prompts=False,
    )
    notes = read_notes(url, rows[-1].run if rows else None)
    name = Path(without_password(url)).name
    found = Replay.of(rows, notes, name, model, requests or REPLAYED)
    left = f"{found.trace.left_out:,} requests left out"
    typer.echo(f"{name}: {len(found.trace):,} answers under {found.policy}, {left}", err=True)
    return found


def fitted(replay: Replay) -> StepTime:
    """Step times from when the journal's requests ran."""
    fit = replay.steps
    near = f"R² {fit.r2:.3f}, median error of a request's time {fit.median_error:.1%}"
    typer.echo(f"{replay.name}: step times fitted to {fit.n:,} requests, {near}", err=True)
    return fit.steptime


def journal_url(text: str) -> str:
    """Where a journal lies; `-` reads that from stdin, so that no password stands on the command line."""
    return sys.stdin.readline().strip() if text == "-" else text


def moment(text: str, flag: str) -> float:
    """UNIX seconds of a date and time, of a number of them, or of so long ago: 30m, 24h, 7d.

    Raises:
        SimulationError: it is none of these.
    """
    import time
    from datetime import datetime

    from soonest.core import SimulationError

    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if ago is not None:
        return time.time() - float(ago[1]) * AGO[ago[2]]
    for read in (float, lambda words: datetime.fromisoformat(words).timestamp()):
        try:
            return read(text.strip())
        except ValueError:
            continue
    raise SimulationError(f"{flag} takes 2026-11-25T08:00, UNIX seconds, or 24h for so long ago, got {text!r}")
