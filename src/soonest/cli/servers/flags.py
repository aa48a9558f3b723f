"""The flags that `soonest serve` and `soonest engine` share, with what each says in `--help`."""

from __future__ import annotations

from typing import Annotated, Literal

from soonest.cli.flags import option

SERVER, ORDER = "Server", "Order"

Port = Annotated[
    int,
    option("Port to listen on; 0 takes a free one, and the ready line says which.", SERVER, "--port", min=0, max=65535),
]
OverdueAfter = Annotated[
    float | None,
    option("Seconds after which a waiting request enters the overdue lane; off unless set.", ORDER, "--overdue-after"),
]
OverdueEvery = Annotated[int, option("That lane gets at most one admission in so many.", ORDER, "--overdue-every")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], option("How much is told on stderr.", SERVER, "--log-level")
]
