"""How far a reproduction is, on stderr."""

from __future__ import annotations

from typing import Self


class Talk:
    """A progress bar for each part of a study; in a pipe, a line when one begins and every ten seconds."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from soonest.cli.progress import Lines

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self.name = name
        self._bar = Progress(*columns, console=Console(stderr=True, highlight=False), refresh_per_second=4)
        self._lines = Lines(self._bar.console)
        self._what = ""

    def __enter__(self) -> Self:
        """Show the bars."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them as they are."""
        self._bar.stop()

    def hear(self, what: str, done: int, of: int) -> None:
        """So much of a part is done; another part gets a bar of its own."""
        if what != self._what:
            self._what, label = what, f"{self.name}: {what}"
            self._task = self._bar.add_task(label, total=of)
            if not self._bar.console.is_terminal:
                self._bar.console.print(label, markup=False)
        self._bar.update(self._task, completed=done, total=of)
        self._lines.tell(f"{self.name}: {what}", done, of)
