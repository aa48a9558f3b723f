"""How far a benchmark is, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from soonest.bench import Answer


class Talk:
    """A progress bar for what runs, and a line for what is worth one."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(*columns, console=console, transient=True, refresh_per_second=4)
        self._task = self._bar.add_task("starting", total=None, state="")
        self._sent = self._ended = self._failed = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def begin(self, what: str, calls: int | None = None) -> None:
        """So many calls follow; without a number something that takes a while."""
        self._sent = self._ended = self._failed = 0
        self._bar.reset(self._task, total=calls, description=what, state="")
        if not self._bar.console.is_terminal:
            self.say(what)

    def heard(self, answer: Answer | None) -> None:
        """One left (`None`), or ended."""
        if answer is None:
            self._sent += 1
        else:
            self._ended += 1
            self._failed += not answer.done
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.update(self._task, completed=self._ended, state=f"{self._sent - self._ended} under way{failed}")

    def say(self, line: str) -> None:
        """Something worth a line."""
        self._bar.console.print(line, markup=False, soft_wrap=True)
