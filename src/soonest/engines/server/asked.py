"""What one request asks for: prompts as token ids, and how to answer them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from soonest.core import Prompt
from soonest.engines.embedded import Sampling
from soonest.engines.server import fields
from soonest.engines.server.errors import ApiError, bad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.core import Forecast
    from soonest.engines.embedded import Model
    from soonest.engines.server.fields import Body

MOST_CHOICES = 128
MOST_PROMPTS = 256
MOST_ANSWERS = 256
"""Prompts times choices: each is a job of its own."""
COMPLETION_TOKENS = 16
"""Of a completion that names no limit, as OpenAI's API has it; a chat then goes on to the end of the context."""
VARIABLES = frozenset({"tools", "documents", "add_generation_prompt", "continue_final_message"})
"""What `apply_chat_template` names and hands on to the template."""
REFUSED = (
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "echo",
    "suffix",
    "use_beam_search",
    "chat_template",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "functions",
)
"""Fields that change the answer in ways that this engine cannot: better an error than another answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was understood. `prompts` are token ids, one list a prompt; `choices` answers for each."""

    prompts: list[list[int]]
    max_tokens: int | None
    sampling: Sampling
    ends: tuple[int, ...]
    stops: tuple[str, ...]
    keep_stop: bool
    skip_special: bool
    choices: int
    stream: bool
    usage: bool
    running_usage: bool
    priority: int
    hint: Forecast | None

    def limit(self, prompt: list[int], longest: int) -> int:
        """How many tokens may be generated after a prompt; the whole must fit `longest` tokens."""
        left = longest - len(prompt)
        if left < 1 or (self.max_tokens is not None and self.max_tokens > left):
            asked = "" if self.max_tokens is None else f" and max_tokens={self.max_tokens}"
            raise bad(
                f"This model's maximum context length is {longest} tokens. Your request has {len(prompt)} input tokens"
                f"{asked}; shorten one of them.",
                "max_tokens" if left > 0 else "messages",
            )
        return left if self.max_tokens is None else self.max_tokens

    def of_choice(self, index: int) -> Sampling:
        """How choice `index` is drawn: a seed gives each choice draws of its own."""
        seed = self.sampling.seed
        return self.sampling if seed is None or index == 0 else replace(self.sampling, seed=seed + index)


def chat(body: Body, model: Model) -> Asked:
    """A chat completion."""
    prompt = conversation(body, model)
    key = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return _asked(body, model, [prompt], fields.integer(body, key, 0, 1) or None)


def completion(body: Body, model: Model) -> Asked:
    """A text completion: a string, strings, token ids, or lists of token ids."""
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and (not prompt or not isinstance(prompt[0], int))
    prompts: list[Any] = prompt if several else [prompt]  # type: ignore[assignment]
    if not 1 <= len(prompts) <= MOST_PROMPTS:
        raise bad(f"prompt must hold 1 to {MOST_PROMPTS} prompts", "prompt")
    special = fields.flag(body, "add_special_tokens", default=True)
    ids = [_tokens(one, model, special=special) for one in prompts]
    return _asked(body, model, ids, fields.integer(body, "max_tokens", COMPLETION_TOKENS, 1))


def prompts(body: Body, counts: Sequence[int], name: str) -> list[Prompt]:
    """What a predictor may see of each prompt of a body; `counts` are their tokens."""
    asked = body.get("prompt")
    several = isinstance(asked, list) and len(asked) == len(counts) > 1
    bodies = [{**body, "prompt": one} for one in asked] if several and isinstance(asked, list) else [body] * len(counts)
    return [
        Prompt.from_body(one, id=f"{name}-{i}", prompt_tokens=count)
        for i, (one, count) in enumerate(zip(bodies, counts, strict=True))
    ]


def tokens(body: Body, model: Model) -> list[int]:
    """The token ids of a prompt or a conversation."""
    if body.get("messages") is not None:
        return conversation(body, model)
    return _tokens(body.get("prompt"), model, special=fields.flag(body, "add_special_tokens", default=True))


def conversation(body: Body, model: Model) -> list[int]:
    """Messages as token ids, by the model's own chat template."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad("messages must be a list of at least one message", "messages")
    tools = body.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise bad("tools must be a list of objects", "tools")
    choice = body.get("tool_choice", "auto")
    if choice not in (None, "auto", "none"):
        raise bad("tool_choice must be auto or none: this engine cannot force a call", "tool_choice")
    if not model.tokenizer.chat_template:
        raise bad("this model has no chat template: use /v1/completions", "messages")
    more = body.get("chat_template_kwargs") or {}
    if not isinstance(more, dict) or (more and more.keys() & _not_for_clients(model.tokenizer)):
        raise bad("chat_template_kwargs must be an object of the template's own variables", "chat_template_kwargs")
    going_on = fields.flag(body, "continue_final_message")
    settings = {
        "add_generation_prompt": fields.flag(body, "add_generation_prompt", default=not going_on),
        "continue_final_message": going_on,
        "tools": tools if choice != "none" else None,
        **more,
    }
    turns = [_turn(message, i) for i, message in enumerate(messages)]
    try:
        ids = model.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False, **settings)
    except Exception as error:  # a template is a program of the model's, and may raise anything
        raise bad(f"the chat template refuses these messages: {error}", "messages") from error
    return list(ids)


def _not_for_clients(tokenizer: Any) -> frozenset[str]:
    """What it takes for itself: a padded prompt, for one, may be as long as memory goes."""
    return frozenset(signature(tokenizer.apply_chat_template).parameters) - VARIABLES


def _turn(message: object, index: int) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise bad(f"{where} must be an object with a role", where)
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content):
            raise bad(f"{where}: only parts of text can be read; leave images and sounds out", where)
        content = "\n".join(part["text"] for part in content)
    elif content is None:
        content = ""
    elif not isinstance(content, str):
        raise bad(f"{where}.content must be a string or a list of parts", where)
    return {**message, "content": content}


def _tokens(prompt: object, model: Model, *, special: bool) -> list[int]:
    if isinstance(prompt, str):
        try:
            return list(model.tokenizer(prompt, add_special_tokens=special).input_ids)
        except Exception as error:  # half a surrogate pair is a string, but no text; each tokenizer says so in its way
            raise bad("prompt is no text that this model's tokenizer can read", "prompt") from error
    if isinstance(prompt, list):
        return fields.token_ids(prompt, "prompt", model.vocabulary)
    raise bad("prompt must be a string, a list of strings, or token ids", "prompt")


def _asked(body: Body, model: Model, prompts: list[list[int]], max_tokens: int | None) -> Asked:
    _refuse(body)
    if not all(prompts):
        raise bad("a prompt must have at least one token", "prompt")
    ends = () if fields.flag(body, "ignore_eos") else model.ends
    if body.get("stop_token_ids") is not None:
        ends = (*ends, *fields.token_ids(body["stop_token_ids"], "stop_token_ids", model.vocabulary))
    choices = fields.integer(body, "n", 1, 1, MOST_CHOICES)
    if len(prompts) * choices > MOST_ANSWERS:
        raise bad(f"n times the prompts must be at most {MOST_ANSWERS}: send several requests", "n")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise bad("stream_options must be an object", "stream_options")
    return Asked(
        prompts=prompts,
        max_tokens=max_tokens,
        sampling=_sampling(body, model),
        ends=ends,
        stops=fields.stops(body),
        keep_stop=fields.flag(body, "include_stop_str_in_output"),
        skip_special=fields.flag(body, "skip_special_tokens", default=True),
        choices=choices,
        stream=fields.flag(body, "stream"),
        usage=fields.flag(options, "include_usage"),
        running_usage=fields.flag(options, "continuous_usage_stats"),
        priority=fields.integer(body, "priority", 0, -fields.LARGEST),
        hint=fields.hint(body),
    )


def _sampling(body: Body, model: Model) -> Sampling:
    usual = model.usual
    seed = body.get("seed")
    return Sampling(
        temperature=fields.number(body, "temperature", usual.temperature, 0, 100),
        top_p=fields.number(body, "top_p", usual.top_p, 0, 1),
        top_k=max(0, fields.integer(body, "top_k", usual.top_k, -1)),
        min_p=fields.number(body, "min_p", usual.min_p, 0, 1),
        seed=None if seed is None else fields.integer(body, "seed", 0, -(1 << 62), 1 << 62),
        min_tokens=fields.integer(body, "min_tokens", 0, 0),
        presence=fields.number(body, "presence_penalty", 0.0, -2, 2),
        frequency=fields.number(body, "frequency_penalty", 0.0, -2, 2),
        repetition=fields.number(body, "repetition_penalty", usual.repetition, 0.01, 100),
        bias=fields.bias(body, model.vocabulary),
    )


def _refuse(body: Body) -> None:
    for key in REFUSED:
        if body.get(key) not in (None, False, 0, "", [], {}):
            raise bad(f"this engine does not support {key}: leave it out", key)
    form = body.get("response_format")
    if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
        raise bad("this engine gives text only: leave response_format out", "response_format")
    if body.get("best_of") not in (None, 1, body.get("n", 1)):
        raise bad("this engine does not choose among answers: leave best_of out", "best_of")


def check_model(body: Body, names: tuple[str, ...]) -> None:
    """Whether it is our model that is asked for; no name is ours too."""
    asked = body.get("model")
    if asked is not None and asked not in names:
        raise ApiError(404, f"The model {asked!r} does not exist; this engine serves {names[0]!r}.", "model")
