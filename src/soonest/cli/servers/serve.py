"""`soonest serve`: a length-aware queue in front of any OpenAI-compatible engine."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soonest.cli.flags import option
from soonest.cli.servers.flags import ORDER, SERVER, LogLevel, OverdueAfter, OverdueEvery, Port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from soonest.engines.child import Child
    from soonest.predict import Predictor

ENGINES, LIMITS, MEMORY = "Engines", "Limits", "What is kept and told"
NONE = "none"


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Start an engine of ours beside the gateway, with this Hugging Face folder or id; without it and "
            "without --engine, with the tiny model that is shipped."
        ),
    ] = None,
    engine: Annotated[
        list[str],
        option("URL of an engine that runs already, such as http://127.0.0.1:8000; repeatable.", ENGINES, "--engine"),
    ] = [],  # noqa: B006 - Typer copies it
    policy: Annotated[
        str,
        option("Who goes first: any policy of `soonest policies` that a gateway can host.", ORDER, "--policy", "-p"),
    ] = "response_ratio(shortest)",
    predictor: Annotated[
        str | None,
        option(
            "Folder from `soonest fit`, or the words of a predictor that learns as it serves, such as "
            "`online(conformal(history))`, which is what is taken unless set; with the shipped model, its own folder.",
            ORDER,
            "--predictor",
        ),
    ] = None,
    mode: Annotated[
        Literal["gate", "priority"],
        option(
            "gate: the queue is here, the engine is kept exactly full. priority: requests go on at once with the "
            "engine's priority field set; the engine must run with priority scheduling.",
            ORDER,
            "--mode",
        ),
    ] = "gate",
    in_flight: Annotated[
        int | None,
        option("Requests in flight at each engine; learned from its /metrics unless set.", ENGINES, "--in-flight"),
    ] = None,
    overdue_after: OverdueAfter = None,
    overdue_every: OverdueEvery = 8,
    forecast_budget: Annotated[
        float, option("Seconds that a forecast may take; beyond it the length is unknown.", ORDER, "--forecast-budget")
    ] = 0.05,
    tokenize: Annotated[
        bool,
        option(
            "Let the engine count prompt tokens where the policy reserves memory.", ENGINES, "--tokenize/--no-tokenize"
        ),
    ] = True,
    hints: Annotated[
        bool, option("Tell engines the forecast, where they have a field for it.", ENGINES, "--hints/--no-hints")
    ] = True,
    host: Annotated[
        str, option("Address to listen on; 0.0.0.0 lets other machines in: set --keys first.", SERVER, "--host")
    ] = "127.0.0.1",
    port: Port = 8080,
    keys: Annotated[
        Path | None, option("TOML file of API keys, with tenants, weights and limits.", SERVER, "--keys")
    ] = None,
    engine_key: Annotated[
        str | None,
        option("API key that the engines want; better set as a variable.", ENGINES, "--engine-key"),
    ] = None,
    max_waiting: Annotated[
        int, option("Requests that wait at most; more get 429 with Retry-After.", LIMITS, "--max-waiting")
    ] = 10_000,
    max_wait: Annotated[
        float, option("Seconds that a request waits for its turn at most; then 504.", LIMITS, "--max-wait")
    ] = 600.0,
    body_limit: Annotated[int, option("Longest body in bytes; longer ones get 413.", LIMITS, "--body-limit")] = 16
    << 20,
    client_timeout: Annotated[
        float,
        option("Seconds that a client may take to send its body, or to receive a part.", LIMITS, "--client-timeout"),
    ] = 60.0,
    connect_timeout: Annotated[
        float, option("Seconds that an engine may take to accept a connection.", LIMITS, "--connect-timeout")
    ] = 5.0,
    silence_timeout: Annotated[
        float | None,
        option("Seconds that an engine may be silent for; no limit unless set.", LIMITS, "--silence-timeout"),
    ] = None,
    drain_timeout: Annotated[
        float, option("Seconds that running answers get after SIGTERM.", LIMITS, "--drain-timeout")
    ] = 600.0,
    journal: Annotated[
        str,
        option(
            "Where finished requests are recorded: a file (SQLite), postgresql://USER@HOST/DATABASE, or none; "
            "~/.local/state/soonest/journal.db unless set.",
            MEMORY,
            "--journal",
        ),
    ] = "",
    strict_journal: Annotated[
        bool, option("Withhold an answer's last event until its row is committed.", MEMORY, "--strict-journal")
    ] = False,
    journal_prompts: Annotated[
        bool,
        option(
            "Keep request bodies in the journal, so that `soonest fit --journal` can read them.",
            MEMORY,
            "--journal-prompts",
        ),
    ] = False,
    otlp: Annotated[
        str | None,
        option("OTLP endpoint for traces, such as http://127.0.0.1:4318/v1/traces; off unless set.", MEMORY, "--otlp"),
    ] = None,
    ui: Annotated[
        bool,
        option("Show a live page at /ui: who waits, who runs, and how good forecasts were.", MEMORY, "--ui/--no-ui"),
    ] = False,
    log_format: Annotated[
        Literal["plain", "json"], option("How lines on stderr look.", SERVER, "--log-format")
    ] = "plain",
    log_level: LogLevel = "info",
    log_share: Annotated[
        float, option("Share of finished requests that get a line; failed ones always do.", SERVER, "--log-share")
    ] = 1.0,
    log_rate: Annotated[
        int,
        option(
            "Lines a second for requests that finished well, at most; one more line counts the rest.",
            SERVER,
            "--log-rate",
        ),
    ] = 100,
    slots: Annotated[
        int | None,
        option("Of the engine that is started: requests that run at once; 8 unless set.", ENGINES, "--slots"),
    ] = None,
    memory: Annotated[
        int | None, option("Of the engine that is started: KV cache in tokens.", ENGINES, "--memory", "-m")
    ] = None,
    threads: Annotated[int | None, option("Of the engine that is started: CPU threads.", ENGINES, "--threads")] = None,
) -> None:
    """Put a queue that knows how long answers will be in front of an engine.

    Speaks OpenAI's API on http://127.0.0.1:8080: point your client there. `/v1/chat/completions` and
    `/v1/completions` are scheduled, everything else is passed on. Once it takes requests it prints one line of JSON:
    `{"url": ...}`. SIGTERM lets running answers end, then stops.

    Examples:
    `soonest serve --engine http://127.0.0.1:8000 --predictor forecasts`

    `soonest serve` (a tiny real model of its own, to try it)

    `soonest serve Qwen/Qwen3-0.6B --policy a_min --slots 16`
    """
    from soonest.gateway.access import Access
    from soonest.gateway.journal import journal as open_journal
    from soonest.gateway.journal.savings import Savings
    from soonest.gateway.observe import RequestLog, write_lines
    from soonest.gateway.serve import serve as serve_gateway
    from soonest.gateway.settings import Settings, SettingsError, check
    from soonest.policies import policy as named
    from soonest.serving import run

    if engine and model is not None:
        raise SettingsError("give a MODEL to start an engine with, or --engine URL for one that runs, not both")
    if engine and not slots is memory is threads is None:
        raise SettingsError(
            "--slots, --memory and --threads are of an engine that is started: leave out --engine, or them"
        )
    if host not in {"127.0.0.1", "::1", "localhost"} and keys is None:
        typer.echo(f"soonest: whoever reaches {host} may use this gateway: set --keys", err=True)
    ours = None if engine else _free_url()
    settings = Settings(
        engines=tuple(engine) if ours is None else (ours,),
        policy=policy,
        mode=mode,
        in_flight=in_flight,
        overdue_after=overdue_after,
        overdue_every=overdue_every,
        most_waiting=max_waiting,
        longest_wait=max_wait,
        forecast_budget=forecast_budget,
        body_limit=body_limit,
        client_timeout=client_timeout,
        connect_timeout=connect_timeout,
        silence_timeout=silence_timeout,
        drain_timeout=drain_timeout,
        tokenize=tokenize,
        hints=hints,
        journal_prompts=journal_prompts,
        ui=ui,
    )
    order = named(policy)
    check(settings, order)
    if model is None and not engine and predictor is None:
        from soonest.engines.tiny import forecasts

        predictor = str(forecasts())
    write_lines(log_level, as_json=log_format == "json")
    where = journal or _journal_file()
    rows = None if where == NONE else open_journal(where, strict=strict_journal)
    child = None if ours is None else _child(ours, model, policy, slots, memory, threads)
    start = partial(
        serve_gateway,
        settings,
        order,
        host,
        port,
        predictor=_predictor(predictor),
        journal=rows,
        savings=None if rows is None else Savings(where),
        access=Access(engine_key=engine_key) if keys is None else Access.open(keys, engine_key=engine_key),
        otlp=otlp,
        lines=RequestLog(log_share, log_rate),
        restarts=None if child is None or ours is None else partial(_restarts, child, ours),
    )
    raise typer.Exit(run(_beside(child, start)))


def _predictor(words: str | None) -> Predictor:
    """A folder, or words, which must name one that learns as it serves."""
    from soonest.core import PredictorError
    from soonest.predict import Predictor, predictor

    if words is not None and Path(words).exists():
        return Predictor.from_pretrained(words)
    words = words or "online(conformal(history))"
    made = predictor(words)
    if not made.learns:
        raise PredictorError(
            f"{words} knows nothing before it is fitted: give the folder that `soonest fit` made, or let it learn as "
            f"it serves, `online({words})`"
        )
    return made


def _journal_file() -> str:
    home = os.environ.get("XDG_STATE_HOME")
    folder = (Path(home) if home else Path.home() / ".local" / "state") / "soonest"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(folder / "journal.db")


def _child(
    url: str, model: str | None, policy: str, slots: int | None, memory: int | None, threads: int | None
) -> Child:
    """Our own engine, on a port that it keeps when it is started again."""
    from soonest.engines.child import Child

    words = [model] if model else []
    words += ["--port", url.rpartition(":")[2], "--policy", policy, "--slots", str(8 if slots is None else slots)]
    words += ["--memory", str(memory)] if memory is not None else []
    return Child(words + (["--threads", str(threads)] if threads is not None else []))


def _restarts(child: Child, url: str) -> dict[str, float]:
    return {url: child.restarts}


def _free_url() -> str:
    from soonest.serving import listen

    with listen("127.0.0.1", 0) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def _beside(child: Child | None, gateway: Callable[[], Awaitable[int]]) -> int:
    """Run a gateway, beside its engine if that is ours."""
    if child is None:
        return await gateway()
    typer.echo("soonest: starting an engine", err=True)
    await child.start()
    try:
        return await gateway()
    finally:
        await child.stop()
