"""`soonest engine`: a real engine on this machine, ordered by a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from soonest.cli.flags import option
from soonest.cli.servers.flags import ORDER, SERVER, LogLevel, OverdueAfter, OverdueEvery, Port

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MODEL, BATCH = "Model", "Batch"
FORECAST_SECONDS = 1.0
"""That a forecast may take: it shares the processor with the model."""


def engine(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Folder of a Hugging Face language model, or its id on the hub; the shipped tiny model unless given."
        ),
    ] = None,
    host: Annotated[
        str, option("Address to listen on; 0.0.0.0 lets other machines in.", SERVER, "--host")
    ] = "127.0.0.1",
    port: Port = 8000,
    served_name: Annotated[
        list[str] | None,
        option(
            "Name under which requests ask for the model; repeatable; its own name unless set.", SERVER, "--served-name"
        ),
    ] = None,
    policy: Annotated[
        str, option("Who goes first: any policy of `soonest policies`.", ORDER, "--policy", "-p")
    ] = "shortest",
    predictor: Annotated[
        Path | None,
        option(
            "Folder from `soonest fit`: forecasts for requests that come without; the tiny model has its own.",
            ORDER,
            "--predictor",
        ),
    ] = None,
    overdue_after: OverdueAfter = None,
    overdue_every: OverdueEvery = 8,
    slots: Annotated[int, option("Requests that run at once.", BATCH, "--slots")] = 8,
    memory: Annotated[
        int | None,
        option(
            "KV cache in tokens; 1,024 for each slot unless set, and one request of full length at least.",
            BATCH,
            "--memory",
            "-m",
        ),
    ] = None,
    block_size: Annotated[int, option("Tokens a KV block.", BATCH, "--block-size")] = 16,
    token_budget: Annotated[
        int, option("Tokens a step computes; longer prompts take several.", BATCH, "--token-budget")
    ] = 256,
    prefix_caching: Annotated[
        bool,
        option(
            "Keep the KV blocks of prompts for others that begin alike.", BATCH, "--prefix-caching/--no-prefix-caching"
        ),
    ] = False,
    max_model_len: Annotated[
        int | None,
        option(
            "Longest prompt and answer together; the model's own, at most 8,192, unless set.", MODEL, "--max-model-len"
        ),
    ] = None,
    dtype: Annotated[
        Dtype, option("Number format of the weights; auto takes the model's own.", MODEL, "--dtype")
    ] = "auto",
    device: Annotated[Device, option("auto takes CUDA where it is at hand.", MODEL, "--device")] = "auto",
    revision: Annotated[str | None, option("Branch, tag or commit on the hub.", MODEL, "--revision")] = None,
    threads: Annotated[
        int | None,
        option(
            "CPU threads of the model; one for a small model, else torch's own choice, unless set.", MODEL, "--threads"
        ),
    ] = None,
    with_parent: Annotated[
        bool,
        option(
            "End as soon as standard input closes: for whoever starts an engine as a child.", SERVER, "--with-parent"
        ),
    ] = False,
    log_level: LogLevel = "info",
) -> None:
    """Serve a model on this machine, with a policy deciding who goes first.

    The engine is Transformers' continuous batching, its waiting queue is ours. It speaks OpenAI's API:
    `/v1/chat/completions`, `/v1/completions`, `/v1/models`, and `/health`, `/metrics`, `/tokenize`. Once it takes
    requests it prints one line of JSON: `{"url": ..., "model": ...}`. SIGTERM lets running requests end, then stops.

    A request may bring its forecast: `"vllm_xargs": {"soonest_forecast": [low, expected, high]}`, in tokens. Without
    one `--predictor` is asked; without that, requests are served as they come.

    Nothing is downloaded if `HF_HUB_OFFLINE=1` is set or the model is a folder; code in a model folder never runs.
    """
    import logging

    from soonest.core import PredictorError
    from soonest.engines.parent import live_with_parent
    from soonest.policies import policy as named
    from soonest.predict import Forecasting, Predictor

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for quiet in ("ContinuousBatchingLogger", "uvicorn.error", "transformers"):
        logging.getLogger(quiet).setLevel("DEBUG" if log_level == "debug" else "WARNING")
    if with_parent:
        live_with_parent()
    order = named(policy)
    try:
        import torch

        from soonest.engines.embedded import Engine, Settings, load
        from soonest.engines.server import serve
    except ImportError as error:
        typer.echo(f"soonest: {error.name} is missing: pip install 'soonest[engine]'", err=True)
        raise typer.Exit(2) from None
    where, name = model, None
    if where is None:
        from soonest.engines import tiny

        where, name = str(tiny.path()), tiny.NAME
        if predictor is None and policy != "fcfs" and tiny.forecasts().is_dir():
            predictor = tiny.forecasts()
    predicts = None
    if predictor is not None:
        if not predictor.is_dir():
            raise PredictorError(f"--predictor {predictor}: no such folder; make one with `soonest fit`")
        predicts = Predictor.from_pretrained(predictor)
    loaded = load(where, name=name, device=device, dtype=dtype, max_length=max_model_len, revision=revision)
    if threads is not None or loaded.is_small:
        torch.set_num_threads(threads or 1)
    settings = Settings(
        slots=slots,
        memory=memory,
        block_size=block_size,
        token_budget=token_budget,
        prefix_caching=prefix_caching,
        overdue_after=overdue_after,
        overdue_every=overdue_every,
    )
    made = Engine(loaded, order, settings)
    names = tuple(served_name or dict.fromkeys((loaded.name, model or loaded.name)))
    forecasting = Forecasting(predicts, FORECAST_SECONDS, logging.getLogger("soonest.engine"))
    raise typer.Exit(serve(made, host, port, forecasting=forecasting, names=names))
