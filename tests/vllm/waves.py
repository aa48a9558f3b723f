"""Requests that queue behind long answers, and the order in which they end."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.vllm.servers import metrics

from soonest.core import Message, Prompt
from soonest.predict import History

STORY, ANSWER = (
    "Write a long story about the sea and a ship, number ",
    "Answer yes or no and nothing else: is this even? ",
)
BUSY, END = 900, "1"


def history(folder):
    """A predictor that knows long stories and short answers."""
    texts = [f"{STORY}{i}" for i in range(20)] + [f"{ANSWER}{i}" for i in range(20)]
    prompts = [Prompt((Message("user", text),), model="small") for text in texts]
    History().fit(prompts, [60 + i % 5 for i in range(20)] + [4 + i % 2 for i in range(20)]).save_pretrained(folder)
    return folder


def ask(client, text, tokens, *, forecast=None, ends=False, **more):
    """A completion of exactly so many tokens, and when it ended: at its limit, or by itself."""
    extra = {"ignore_eos": True} if not ends else {"min_tokens": tokens - 1, "logit_bias": {END: 100}}
    extra |= {} if forecast is None else {"vllm_xargs": {"soonest_forecast": forecast}}
    done = client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": text}],
        max_tokens=BUSY if ends else tokens,
        temperature=0.0,
        extra_body=extra,
        **more,
    )
    return time.monotonic(), done


def order(client, engine, wave):
    """Ids in the order in which they end, behind two long answers that take the engine's places first."""
    for _ in range(5):
        found = queued(client, engine, wave)
        if found:
            return found
    raise AssertionError("the long answers always ended before the wave was there")


def queued(client, engine, wave):
    """The order, or `None` where an answer that should have been long ended first."""
    with ThreadPoolExecutor(len(wave) + 2) as pool:
        busy = [pool.submit(ask, client, f"busy {i}", BUSY, forecast=[BUSY, BUSY, BUSY]) for i in range(2)]
        until(lambda: running(engine) == 2 or any(b.done() for b in busy))
        asked = {}
        for name, text, tokens, forecast in wave:
            asked[name] = pool.submit(ask, client, text, tokens, forecast=forecast)
            time.sleep(0.03)
        held = not any(b.done() for b in busy)
        ended = {name: call.result()[0] for name, call in asked.items()}
        return sorted(ended, key=ended.get) if held else None


def running(engine):
    """How many run there."""
    return next(n for name, n in metrics(engine).items() if name.startswith("vllm:num_requests_running"))


def until(true, seconds=60):
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
