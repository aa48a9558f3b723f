"""Words into calls; one command a file. Each flag is also an environment variable, which `--help` names."""

from __future__ import annotations

import typer

from soonest.cli.bench import bench
from soonest.cli.cluster import WithRay
from soonest.cli.fit_steps import fit_steps
from soonest.cli.forecasts import evaluate, fit, predict
from soonest.cli.policies import policies
from soonest.cli.reproduce import reproduce
from soonest.cli.servers import engine, serve
from soonest.cli.sim import sim
from soonest.core import SoonestError

app = typer.Typer(
    name="soonest",
    help="Forecast how long each LLM answer will be, and let the short ones through first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "SOONEST"},
)
app.command(cls=WithRay)(sim)
app.command()(serve)
app.command()(policies)
app.command(cls=WithRay)(fit)
app.command(name="eval")(evaluate)
app.command()(predict)
app.command(name="fit-steps")(fit_steps)
app.command()(engine)
app.command()(bench)
app.command(cls=WithRay)(reproduce)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """Forecast how long each LLM answer will be, and let the short ones through first."""
    if version:
        from soonest import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The command `soonest`: what was asked wrongly is one line on stderr and exit status 2."""
    try:
        app()
    except (SoonestError, OSError) as error:
        typer.echo(f"soonest: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.echo("soonest: stopped", err=True)
        raise SystemExit(130) from None
