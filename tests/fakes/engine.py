"""A fast fake of an OpenAI-compatible engine over real TCP, with faults on request.

As a process: `python -m tests.fakes.engine --port 0 --slots 4 --step-ms 2` prints `{"url": ...}` and serves.
In a test: `with running(slots=4, step_ms=2) as fake: fake.url, fake.seen(), fake.fault = "status:503"`.

An answer is as long as its prompt says (`tokens=12` in the last message), else as a hash of it. Faults come from the
header `x-fault`, from the prompt (`fault=die:3`) or, for every request, from `POST /fault`; several are joined by
commas, see `tests.fakes.faults`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import heapq
import json
import signal
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count

import uvloop
from tests.fakes.connection import Connection

KEPT = 1000  # hashes of bodies that are remembered


@dataclass(slots=True)
class Options:
    slots: int = 4
    step_ms: float = 0.0  # 0 = as fast as possible
    priority: bool = False  # vLLM's --scheduling-policy priority, else in order of arrival
    blocks: int = 1024
    block_size: int = 16
    idle_ms: float = 0.0  # close a connection that was idle for so long; 0 = never
    fault: str = ""


class Engine:
    """A batch of `slots` places that makes one token a step for each, and what it has seen so far."""

    def __init__(self, options):
        self.options = options
        self.fault = options.fault
        self.requests = Counter()  # by path
        self.bodies = deque(maxlen=KEPT)
        self.last = ()
        self.cancelled = 0
        self.finished = 0
        self.connections = set()
        self.opened = 0
        self.waiting = []
        self.running = {}
        self.most_running = 0
        self.order = count()
        self.timer = None
        self.next_step = 0.0

    def enter(self, job):
        """A request waits for its place; with `step_ms` 0 it is answered at once."""
        rank = job.ask.priority if self.options.priority else 0
        heapq.heappush(self.waiting, (rank, next(self.order), job))
        self._admit()

    def leave(self, job):
        """Its client is gone: the place is free at once."""
        self.cancelled += 1
        if self.running.pop(id(job), None) is None:
            self.waiting = [entry for entry in self.waiting if entry[2] is not job]
            heapq.heapify(self.waiting)
        self._admit()

    def _admit(self):
        while self.waiting and len(self.running) < self.options.slots:
            job = heapq.heappop(self.waiting)[2]
            if self.options.step_ms or job.stepwise:
                self.running[id(job)] = job
                self.most_running = max(self.most_running, len(self.running))
            else:
                self.finished += 1
                job.finish()
        if self.timer is None and any(not job.stuck for job in self.running.values()):
            loop = asyncio.get_running_loop()
            self.next_step = loop.time() + self.options.step_ms / 1000
            self.timer = loop.call_at(self.next_step, self._step)

    def _step(self):
        """One token for all that run."""
        for key, job in list(self.running.items()):
            if not job.stuck and job.step():
                self.running.pop(key, None)
                self.finished += 1
        self.timer = None
        self._admit_after_step()

    def _admit_after_step(self):
        late = self.next_step
        self._admit()
        if self.timer is not None:  # steps keep their pace though a timer fires late
            self.timer.cancel()
            loop = asyncio.get_running_loop()
            self.next_step = max(late + self.options.step_ms / 1000, loop.time())
            self.timer = loop.call_at(self.next_step, self._step)

    def saw(self, path, method, url, headers, body):
        self.requests[path] += 1
        digest = hashlib.sha256(body).hexdigest()
        self.bodies.append(digest)
        self.last = (method, url, headers, digest, len(body))

    def last_request(self):
        if not self.last:
            return {}
        method, url, headers, digest, length = self.last
        said = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
        return {"method": method.decode(), "path": url.decode(), "headers": said, "sha256": digest, "length": length}

    def seen(self):
        return {
            "requests": sum(self.requests.values()),
            "paths": dict(self.requests),
            "bodies": list(self.bodies),
            "last": self.last_request(),
            "cancelled": self.cancelled,
            "finished": self.finished,
            "running": len(self.running),
            "waiting": len(self.waiting),
            "most_running": self.most_running,
            "connections": len(self.connections),
            "opened": self.opened,
        }

    def metrics(self):
        """In vLLM's names."""
        used = sum(job.ask.prompt_tokens + job.spoken for job in self.running.values())
        share = min(1.0, used / (self.options.blocks * self.options.block_size))
        cache = f'block_size="{self.options.block_size}",num_gpu_blocks="{self.options.blocks}"'
        return "".join(
            f"# TYPE vllm:{name} gauge\nvllm:{name}{{{labels}}} {value}\n"
            for name, labels, value in [
                ("num_requests_running", 'engine="0",model_name="fake"', float(len(self.running))),
                ("num_requests_waiting", 'engine="0",model_name="fake"', float(len(self.waiting))),
                ("kv_cache_usage_perc", 'engine="0",model_name="fake"', share),
                ("cache_config_info", f'cache_dtype="auto",{cache},enable_prefix_caching="True",engine="0"', 1.0),
            ]
        ).encode()


class Running:
    """A fake engine in a thread of its own: its address, what it has seen, and its switches."""

    def __init__(self, options, port=0):
        self.engine = Engine(options)
        self._port = port
        self._server = None
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.up()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    @property
    def fault(self):
        return self.engine.fault

    @fault.setter
    def fault(self, words):
        self.engine.fault = words

    def seen(self):
        return self._ask(self._seen())

    async def _seen(self):
        return self.engine.seen()

    def up(self):
        """Listen (again) at the same port."""
        self._server = self._ask(listen(self.engine, self._port))
        self._port = self._server.sockets[0].getsockname()[1]

    def down(self):
        """Refuse connections, and reset those there are."""
        self._ask(self._down())

    async def _down(self):
        self._server.close()
        for connection in list(self.engine.connections):
            connection.reset()
        await self._server.wait_closed()

    def _ask(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def close(self):
        with contextlib.suppress(OSError):
            self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def running(port=0, **options):
    fake = Running(Options(**options), port)
    try:
        yield fake
    finally:
        fake.close()


async def listen(engine, port):
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(engine), "127.0.0.1", port, backlog=4096)


async def serve(engine, port):
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ended.set)
    server = await listen(engine, port)
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()


def main():
    words = argparse.ArgumentParser(description="A fake engine.")
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--slots", type=int, default=4)
    words.add_argument("--step-ms", type=float, default=0.0)
    words.add_argument("--priority", action="store_true")
    words.add_argument("--blocks", type=int, default=1024)
    words.add_argument("--block-size", type=int, default=16)
    words.add_argument("--idle-ms", type=float, default=0.0)
    words.add_argument("--fault", default="")
    said = vars(words.parse_args())
    port = said.pop("port")
    uvloop.run(serve(Engine(Options(**said)), port))


if __name__ == "__main__":
    main()
