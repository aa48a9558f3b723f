"""Requests to vLLM's server that queue behind long answers."""

from tests.real import waves
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
    """A completion of exactly so many tokens, ended at its limit or by itself."""
    extra = {"ignore_eos": True} if not ends else {"min_tokens": tokens - 1, "logit_bias": {END: 100}}
    extra |= {} if forecast is None else {"vllm_xargs": {"soonest_forecast": forecast}}
    return client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": text}],
        max_tokens=BUSY if ends else tokens,
        temperature=0.0,
        extra_body=extra,
        **more,
    )


def order(client, engine, wave, waiting=None):
    """Names of a wave in the order in which they end, behind two long answers that take the engine's places first.

    `wave`: (name, text, tokens, forecast); `waiting`: how many wait, where that is not in the engine.
    """

    def asking(text, tokens, forecast):
        return lambda: ask(client, text, tokens, forecast=forecast)

    busy = [asking(f"busy {i}", BUSY, [BUSY] * 3) for i in range(2)]
    calls = {name: asking(*words) for name, *words in wave}
    return waves.order(busy, calls, running=lambda: running(engine), waiting=waiting or (lambda: waits(engine)))


def running(engine):
    """How many run there."""
    return gauge(engine, "vllm:num_requests_running")


def waits(engine):
    """How many wait there."""
    return gauge(engine, "vllm:num_requests_waiting")


def gauge(engine, wanted):
    """An engine's number by its name alone."""
    return next(n for name, n in metrics(engine).items() if name.partition("{")[0] == wanted)
