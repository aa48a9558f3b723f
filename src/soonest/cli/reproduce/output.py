"""What `soonest reproduce` leaves behind: what stands, studies as JSON, one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soonest.report.study import Study


def check(out: Path | None, html: Path | None) -> None:
    """Refuse, before long work, what cannot be written."""
    from soonest.report import check_target
    from soonest.report.study.html import check_page

    if html is not None:
        check_page(html)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        check_target(out / "reproduce.json")


def show(study: Study) -> None:
    """What stands, and what it was made with."""
    made = [f"{name} {number}" for name, number in study.versions.items()]
    origin = f"{study.command}; {', '.join(made)}; {study.machine}; {study.seconds:.0f} s"
    typer.echo("\n\n".join([study.title, *study.answer.text, origin]) + "\n")


def write(studies: Sequence[Study], out: Path | None, html: Path | None) -> None:
    """Each study as JSON, and all of them on one page."""
    from soonest.report.files import write_bytes
    from soonest.report.study.html import write_page

    if out is not None:
        for study in studies:
            write_bytes(out / f"reproduce_{study.name}.json", study.to_json().encode())
    if html is not None:
        write_page(html, studies)
