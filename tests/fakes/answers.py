"""What the fake engine says: vLLM's words, from a request's own text."""

import json
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import orjson

MODEL = "fake"
WORDS = (b"one ", b"two ", b"three ", b"four ", b"five ", b"six ", b"seven ", b"eight ", b"nine ", b"ten ")
LONGEST = 64  # tokens of an answer whose length nobody named
DONE = b"data: [DONE]\n\n"
ASKED = re.compile(r"tokens=(\d+)")
FAULT = re.compile(r"fault=([\w:.,-]+)")
NOBODY = b"@id@"
MOST_STREAMS = 1000
ids = count()
streams = {}


ODD = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)  # what odd bodies raise


class BadRequestError(ValueError):
    """The request is none: the message says why."""


@dataclass(slots=True)
class Ask:
    """One request: what it wants said, and how."""

    chat: bool
    text: str
    tokens: int
    finish: str
    choices: int
    stream: bool
    usage: bool
    prompt_tokens: int
    priority: int
    id: str
    body: dict

    @property
    def fault(self):
        found = FAULT.search(self.text)
        return found[1] if found else ""


def asked(path, raw):
    """A request's body, read as an engine reads it; raises `BadRequestError`."""
    try:
        return read(path.endswith("chat/completions"), loaded(raw))
    except ODD as error:
        raise BadRequestError(f"{type(error).__name__}: {error}") from None


def loaded(raw):
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json.loads(raw)


def read(chat, body):
    turns = body["messages"] if chat else body["prompt"]
    if chat and not turns:
        raise BadRequestError("messages is empty")
    text, prompt_tokens = spoken(turns) if chat else (written(turns), words_of(written(turns)))
    named = ASKED.search(text)
    tokens = int(named[1]) if named else 1 + zlib.crc32(text.encode("utf-8", "replace")) % LONGEST
    limit = whole_number(body.get("max_completion_tokens") or body.get("max_tokens") or tokens + 1, 1 << 31)
    return Ask(
        chat=chat,
        text=text,
        tokens=min(tokens, limit),
        finish="length" if tokens >= limit else "stop",
        choices=whole_number(body.get("n") or 1, 128),
        stream=bool(body.get("stream")),
        usage=bool((body.get("stream_options") or {}).get("include_usage")),
        prompt_tokens=prompt_tokens,
        priority=int(body.get("priority") or 0),
        id=f"{'chatcmpl' if chat else 'cmpl'}-{next(ids):08d}",
        body=body,
    )


def whole_number(value, most):
    if not 1 <= value <= most or value != int(value):
        raise BadRequestError(f"{value} is not from 1 to {most}")
    return int(value)


def spoken(turns):
    """The last turn of a chat, and its tokens: its words, and three more a message."""
    texts = [said(turn.get("content")) for turn in turns]
    return texts[-1], sum(3 + words_of(text) for text in texts)


def written(prompt):
    return prompt if isinstance(prompt, str) else str(prompt)


def counted(body):
    """Prompt tokens of a body of `/tokenize`."""
    return spoken(body["messages"])[1] if "messages" in body else words_of(written(body["prompt"]))


def words_of(text):
    return text.count(" ") + 1


def said(content):
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def word(index):
    return WORDS[index % len(WORDS)]


def usage_of(ask):
    answered = ask.tokens * ask.choices
    return (
        f'{{"prompt_tokens":{ask.prompt_tokens},"total_tokens":{ask.prompt_tokens + answered},'
        f'"completion_tokens":{answered}}}'
    ).encode()


def head(ask, kind):
    return f'{{"id":"{ask.id}","object":"{kind}","created":1,"model":"{MODEL}","choices":['.encode()


def whole(ask):
    """The answer in one piece."""
    text = text_of(ask.tokens)
    spoken = f'"message":{{"role":"assistant","content":"{text}"}}' if ask.chat else f'"text":"{text}"'
    choices = ",".join(
        f'{{"index":{i},{spoken},"logprobs":null,"finish_reason":"{ask.finish}"}}' for i in range(ask.choices)
    )
    kind = "chat.completion" if ask.chat else "text_completion"
    return head(ask, kind) + choices.encode() + b'],"usage":' + usage_of(ask) + b"}"


@lru_cache(256)
def text_of(tokens):
    return b"".join(word(i) for i in range(tokens)).decode()


class Events:
    """The answer as vLLM streams it: a role first (chat), an event a token, usage if asked, and [DONE]."""

    def __init__(self, ask):
        self.ask = ask
        self.head = b"data: " + head(ask, "chat.completion.chunk" if ask.chat else "text_completion")
        self.tail = b"]}\n\n" if ask.chat else b'],"usage":null}\n\n'

    def first(self):
        if not self.ask.chat:
            return []
        delta = b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return [self.head + b'{"index":%d,' % i + delta + self.tail for i in range(self.ask.choices)]

    def token(self, index):
        """Events of one step: a token for each choice."""
        ends = b'"%s"' % self.ask.finish.encode() if index == self.ask.tokens - 1 else b"null"
        form = b'"delta":{"content":"%s"}' if self.ask.chat else b'"text":"%s"'
        rest = form % word(index) + b',"logprobs":null,"finish_reason":' + ends + b"}" + self.tail
        return [self.head + b'{"index":%d,' % i + rest for i in range(self.ask.choices)]

    def last(self):
        if not self.ask.usage:
            return [DONE]
        return [self.head + b'],"usage":' + usage_of(self.ask) + b"}\n\n", DONE]

    def all(self):
        cycle = [self.token(i) for i in range(min(len(WORDS), self.ask.tokens - 1))]
        turns, rest = divmod(self.ask.tokens - 1, len(WORDS))
        tokens = cycle * turns + cycle[:rest] if turns else cycle
        tokens = [event for step in [*tokens, self.token(self.ask.tokens - 1)] for event in step]
        return [*self.first(), *tokens, *self.last()]


def streamed(ask, *, crlf=False):
    """The whole stream as HTTP's chunks, an event each; made once for requests that differ in their id alone."""
    key = (ask.chat, ask.tokens, ask.finish, ask.choices, ask.usage, ask.prompt_tokens)
    if (key, crlf) not in streams:
        if len(streams) > MOST_STREAMS:
            streams.clear()
        events = Events(ask).all()
        if crlf:
            events = [event[:-2] + b"\r\n\r\n" for event in events]
        streams[key, crlf] = b"".join(map(framed, events)).replace(ask.id.encode(), NOBODY)
    return streams[key, crlf].replace(NOBODY, ask.id.encode())


def framed(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def error(message, kind, code):
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})
