"""One connection of the fake engine: requests in, answers out, faults as asked."""

import asyncio
import gzip
import socket
import struct
from collections import deque

import httptools
import orjson
from tests.fakes import answers
from tests.fakes.answers import BadRequestError, asked
from tests.fakes.faults import faults
from tests.fakes.job import Job

SERVER = b"server: fake\r\n"
RST = struct.pack("ii", 1, 0)
REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}
QUIET = {"/seen", "/fault", "/metrics", "/health", "/version"}  # no requests that a test counts
JSON = b"application/json"


class Connection(asyncio.Protocol):
    """HTTP/1.1 as httptools reads it; one request at a time."""

    def __init__(self, engine):
        self.engine = engine
        self.parser = httptools.HttpRequestParser(self)
        self.transport = None
        self.job = None
        self.silent = False  # a request hangs: nothing more is said here
        self.idle = None
        self.pieces = deque()  # what a `split` has not sent yet; None is the end

    def connection_made(self, transport):
        self.transport = transport
        self.engine.connections.add(self)
        self.engine.opened += 1
        transport.set_write_buffer_limits(high=1 << 24)

    def connection_lost(self, error):  # noqa: ARG002 - the protocol's word
        self.engine.connections.discard(self)
        if self.idle is not None:
            self.idle.cancel()
        if self.job is not None:
            self.engine.leave(self.job)
            self.job = None
        elif self.silent:
            self.engine.cancelled += 1

    def data_received(self, data):
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self):
        self.url = b""
        self.headers = []
        self.body = []
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name, value))
        if value == b"100-continue" and name.lower() == b"expect":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data):
        self.body.append(data)

    def on_message_complete(self):
        path, body = self.url.partition(b"?")[0].decode(), b"".join(self.body)
        if path not in QUIET:
            self.engine.saw(path, self.parser.get_method(), self.url, self.headers, body)
        self.route(path, body)

    def fault_words(self):
        named = next((value for name, value in self.headers if name.lower() == b"x-fault"), b"")
        return named.decode() or self.engine.fault

    def route(self, path, body):
        if path == "/seen":
            self.reply(200, orjson.dumps(self.engine.seen()))
        elif path == "/fault":
            self.engine.fault = body.decode()
            self.reply(200, b"{}")
        elif path.endswith("/completions"):
            self.generate(path, body)
        elif not self.struck(faults(self.fault_words())):
            self.plain(path, body)

    def plain(self, path, body):
        if path == "/metrics":
            self.reply(200, self.engine.metrics(), b"text/plain; version=0.0.4; charset=utf-8")
        elif path == "/health":
            self.reply(200, b"")
        elif path == "/version":
            self.reply(200, b'{"version":"0.32.0"}')
        elif path == "/v1/models":
            model = {"id": answers.MODEL, "object": "model", "created": 1, "owned_by": "vllm", "max_model_len": 4096}
            self.reply(200, orjson.dumps({"object": "list", "data": [model]}))
        elif path == "/tokenize":
            self.count(body)
        elif path in {"/echo", "/v1/echo"}:
            self.reply(200, body, b"application/octet-stream", b"x-echo: 1\r\nx-echo: 2\r\n")
        else:
            self.reply(404, b'{"detail":"Not Found"}')

    def count(self, body):
        try:
            tokens = answers.counted(answers.loaded(body))
        except answers.ODD as error:
            self.reply(400, answers.error(repr(error), "BadRequestError", 400))
            return
        said = {"count": tokens, "max_model_len": 4096, "tokens": list(range(tokens)), "token_strs": None}
        self.reply(200, orjson.dumps(said))

    def generate(self, path, body):
        try:
            ask = asked(path, body)
        except BadRequestError as error:
            self.reply(400, answers.error(str(error), "BadRequestError", 400))
            return
        fault = faults(self.fault_words() or ask.fault)
        if not self.struck(fault):
            self.job = Job(self, ask, fault)
            self.engine.enter(self.job)

    def struck(self, fault):
        """Faults that strike before an answer begins."""
        if fault.refuse:
            self.transport.close()
        elif fault.die == 0:
            self.reset()
        elif fault.hang == 0:
            self.silent = True
        elif fault.status:
            retry = b"retry-after: %d\r\n" % fault.retry if fault.retry else b""
            self.reply(fault.status, answers.error("as asked", "AsAskedError", fault.status), JSON, retry)
        else:
            return False
        return True

    def reply(self, status, body, kind=JSON, more=b"", *, pack=False, split=0):
        if pack:
            body, more = gzip.compress(body), more + b"content-encoding: gzip\r\n"
        head = b"HTTP/1.1 %d %s\r\n%scontent-type: %s\r\ncontent-length: %d\r\n%s\r\n"
        self.write(head % (status, REASONS.get(status, b"Odd"), SERVER, kind, len(body), more) + body, split)
        self.done()

    def done(self, *, vanish=False):
        """An answer is out: what comes next on this connection."""
        self.job = None
        if vanish or not self.parser.should_keep_alive():
            self.close()
        elif self.engine.options.idle_ms:
            delay = self.engine.options.idle_ms / 1000
            self.idle = asyncio.get_running_loop().call_later(delay, self.transport.close)

    def write(self, data, split=0):
        """Send at once, or in pieces of `split` bytes, each in a round of the loop of its own."""
        if self.transport.is_closing():
            return
        if not split and not self.pieces:
            self.transport.write(data)
            return
        size = split or len(data)
        if not self.pieces:
            asyncio.get_running_loop().call_soon(self._send_piece)
        self.pieces.extend(data[start : start + size] for start in range(0, len(data), size))

    def close(self):
        """When all is sent."""
        if self.pieces:
            self.pieces.append(None)
        else:
            self.transport.close()

    def _send_piece(self):
        piece = self.pieces.popleft()
        if piece is None:
            self.transport.close()
        else:
            self.transport.write(piece)
        if self.pieces:
            asyncio.get_running_loop().call_later(0.0002, self._send_piece)

    def reset(self):
        """End it as a killed process does."""
        self.job = None
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self.transport.abort()
