"""Ask an engine in this process, and what the library itself would answer."""

import asyncio
import time

import torch

from soonest.engines.embedded import Job


def prompt(model, words):
    return list(model.tokenizer(words).input_ids)


def greedy(model, ids, tokens):
    """What the library's own generate says."""
    with torch.no_grad():
        out = model.network.generate(torch.tensor([ids]), max_new_tokens=tokens, do_sample=False, eos_token_id=None)
    return out[0, len(ids) :].tolist()


async def answer(engine, name, ids, tokens, **more):
    """All tokens of a job, and when it ended."""
    said = []
    async with engine.submit(Job(name, ids, tokens, **more)) as news:
        async for some in news:
            said += some
    return said, time.monotonic()


async def idle(engine, *, within=10.0):
    """Wait until nothing waits or runs."""
    until = time.monotonic() + within
    while engine.waiting or engine.running or engine._endings:
        assert time.monotonic() < until, f"{engine.waiting} wait and {engine.running} run"
        await asyncio.sleep(0.01)


async def runs(engine, *, within=10.0):
    """Wait until one is being answered."""
    async with asyncio.timeout(within):
        while not engine.running:  # noqa: ASYNC110 - the engine has a thread of its own
            await asyncio.sleep(0.001)
