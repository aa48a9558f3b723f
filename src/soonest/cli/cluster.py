"""`--ray [ADDRESS]`: a flag whose value may be left out, and the cluster that it names."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from soonest.cluster import Cluster

FLAG: Final = "--ray"
ADDRESS: Final = re.compile(r"local|auto|ray://\S+|[^\s/=]+:\d+")
"""What may follow the flag; any other word is an argument of its own, such as a file's name."""
HELP: Final = (
    "Share the work over a Ray cluster, with the same results (extra `ray`): that at HOST:PORT or ray://HOST:PORT; "
    "without an address one on this machine, which ends with the command."
)


def flag(panel: str) -> Any:
    """The flag, in its panel."""
    return typer.Option(FLAG, metavar="[ADDRESS]", help=HELP, rich_help_panel=panel)


Ray = Annotated[str | None, flag("Runs")]


class WithRay(TyperCommand):
    """A command whose flag `--ray` needs no value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the local cluster where no address follows."""
        return super().parse_args(ctx, completed(args))


def completed(words: list[str]) -> list[str]:
    """These words, with `local` after a `--ray` that no address follows."""
    found: list[str] = []
    for word, after in zip(words, [*words[1:], ""], strict=False):
        found.append(word)
        if word == FLAG and not ADDRESS.fullmatch(after):
            found.append("local")
    return found


def cluster(address: str | None, cores: int | None = None) -> AbstractContextManager[Cluster | None]:
    """The cluster at this address, while it is needed; none where none was asked for."""
    if address is None:
        return nullcontext()
    from soonest.cluster import imported_ray, joined

    imported_ray()  # told before anything else is
    typer.echo(f"{FLAG}: {'starting a cluster' if address == 'local' else f'joining {address}'} ...", err=True)
    return joined(address, cores)
