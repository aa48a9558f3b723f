"""`soonest policies`."""

from __future__ import annotations

import inspect


def policies() -> None:
    """List the policies: what each does, where it comes from, and what it needs from its host."""
    from rich.box import MARKDOWN
    from rich.console import Console
    from rich.table import Table

    from soonest.policies import known_policies

    table = Table(box=MARKDOWN)
    for heading in ("policy", "what it does", "source", "needs"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "policy")
    for name, kind in known_policies().items():
        sentence = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
        table.add_row(name, sentence, kind.source, ", ".join(sorted(kind.needs)) or "-")
    Console(width=None if Console().is_terminal else 160).print(table)
