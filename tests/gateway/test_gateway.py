"""A request's way through the gateway, over real TCP."""

import json
import urllib.request

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.running import running


def post(url, body, path="/v1/chat/completions", headers=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, raw, {"content-type": "application/json", **dict(headers)})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status, dict(response.headers), response.read()


def chat(tokens=5, **more):
    return {"model": "m", "messages": [{"role": "user", "content": f"tokens={tokens}"}], **more}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_the_engine_s(stream):
    with fake_engine() as fake, running(fake.url) as gateway:
        direct = post(fake.url, chat(stream=stream))
        through = post(gateway.url, chat(stream=stream))
        assert through[0] == direct[0] == 200
        strip = lambda raw: [json.loads(l[6:])["choices"] for l in raw.decode().split("\n") if l.startswith("data: {")]
        if stream:
            assert strip(through[2]) == strip(direct[2])
            assert through[2].endswith(b"data: [DONE]\n\n")
        else:
            assert json.loads(through[2])["choices"] == json.loads(direct[2])["choices"]
        assert gateway.idle()
