"""llama.cpp's server as a process."""

import json
import sys
import urllib.request
from pathlib import Path

from tests.real.servers import free_port, serving

EMBEDDED = Path(__file__).with_name("embedded.py")


def llama_server(model, log, *, metrics=True):
    """The server of llama.cpp with four slots; `metrics`: as with its flag `--metrics`."""
    port = free_port()
    return serving([sys.executable, str(EMBEDDED), str(model), str(port), str(int(metrics))], port, log)


def get(url):
    """A page, read as JSON if it is that."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        text = answer.read().decode()
    try:
        return json.loads(text)
    except ValueError:
        return text
