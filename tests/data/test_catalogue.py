import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from soonest.core import TraceError
from soonest.data import CATALOGUE, FORMATS, PublicTrace, catalogue, fetch, read_trace

BODY = b"timestamp_s,prompt_tokens,output_tokens\n" + b"".join(b"%d,1,2\n" % i for i in range(20_000))
HASH = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing.csv":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized.csv":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:70_000] if self.path == "/cut.csv" else BODY)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as host:
        host.asked = []
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield host
        host.shutdown()
        thread.join()


@pytest.fixture
def offer(monkeypatch):
    def add(address, page="trace.csv", sha256=HASH):
        entry = PublicTrace(f"http://127.0.0.1:{address}/{page}", "trace.csv", "csv", "CC0-1.0", "a test", sha256)
        monkeypatch.setattr(catalogue, "CATALOGUE", {"trace": entry})

    return add


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_trace_is_downloaded_once_and_then_taken_from_the_cache(server, offer, tmp_path):
    offer(server.server_port)
    cache = tmp_path / "new" / "cache"
    path = fetch("trace", cache)
    assert path == fetch("trace", str(cache)) == cache / "trace.csv"
    assert path.read_bytes() == BODY
    assert len(read_trace(path)) == 20_000
    assert server.asked == ["/trace.csv"]
    assert names(cache) == ["trace.csv"]


def test_a_body_of_unstated_length_is_checked_by_its_hash(server, offer, tmp_path):
    offer(server.server_port, "unsized.csv")
    assert fetch("trace", tmp_path).read_bytes() == BODY


def test_wrong_bytes_are_deleted_and_both_hashes_told(server, offer, tmp_path):
    offer(server.server_port, sha256="0" * 64)
    with pytest.raises(TraceError, match=f"is {HASH}, expected {'0' * 64}: the file was deleted"):
        fetch("trace", tmp_path)
    assert names(tmp_path) == []


def test_a_cached_file_that_changed_is_deleted_and_both_hashes_told(server, offer, tmp_path):
    offer(server.server_port)
    fetch("trace", tmp_path).write_bytes(b"changed")
    with pytest.raises(TraceError, match=f"expected {HASH}"):
        fetch("trace", tmp_path)
    assert fetch("trace", tmp_path).read_bytes() == BODY


def test_a_truncated_body_leaves_nothing(server, offer, tmp_path):
    offer(server.server_port, "cut.csv", sha256=None)
    with pytest.raises(TraceError, match=f"ended after 70000 of {len(BODY)} bytes; download http"):
        fetch("trace", tmp_path)
    assert names(tmp_path) == []


def test_a_page_that_is_gone_says_what_to_do_by_hand(server, offer, tmp_path):
    offer(server.server_port, "missing.csv")
    with pytest.raises(TraceError) as caught:
        fetch("trace", tmp_path)
    said = str(caught.value)
    assert "the server said 404" in said
    assert f"save it as {tmp_path / 'trace.csv'}, or pass --trace PATH" in said
    assert names(tmp_path) == []


def test_no_connection_says_what_to_do_by_hand(offer, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        offer(closed.getsockname()[1])
        with pytest.raises(TraceError, match=r"no connection: .*by hand and save it as"):
            fetch("trace", tmp_path)
    assert names(tmp_path) == []


def test_a_server_that_says_nothing_is_given_up(offer, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(catalogue, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        offer(silent.getsockname()[1])
        with pytest.raises(TraceError, match="timed out"):
            fetch("trace", tmp_path)


def test_without_a_published_hash_the_first_download_is_told_and_pinned(server, offer, tmp_path):
    offer(server.server_port, sha256=None)
    told = []
    path = fetch("trace", tmp_path, told.append)
    assert "downloading" in told[0]
    assert f"pinned SHA-256 {HASH}" in told[1]
    assert (tmp_path / "trace.csv.sha256").read_text() == f"{HASH}  trace.csv\n"
    told.clear()
    assert fetch("trace", tmp_path, told.append) == path
    assert told == []


def test_a_later_download_is_checked_against_the_pin(server, offer, tmp_path):
    (tmp_path / "trace.csv.sha256").write_text("1" * 64 + "  trace.csv\n")
    offer(server.server_port, sha256=None)
    with pytest.raises(TraceError, match=f"is {HASH}, expected {'1' * 64}"):
        fetch("trace", tmp_path)
    assert names(tmp_path) == ["trace.csv.sha256"]


@pytest.mark.parametrize("pin", [b"", b"\xff"])
def test_a_damaged_pin_is_refused(offer, tmp_path, pin):
    (tmp_path / "trace.csv.sha256").write_bytes(pin)
    offer(1, sha256=None)
    with pytest.raises(TraceError, match="is no SHA-256 file: delete it"):
        fetch("trace", tmp_path)


def test_a_file_put_there_by_hand_needs_no_network(offer, tmp_path):
    (tmp_path / "trace.csv").write_bytes(BODY)
    offer(1)
    assert fetch("trace", tmp_path).read_bytes() == BODY


def test_a_cache_that_cannot_be_made_is_refused(offer, tmp_path):
    (tmp_path / "file").write_text("")
    offer(1)
    with pytest.raises(TraceError, match="cannot be fetched"):
        fetch("trace", tmp_path / "file" / "cache")


def test_the_cache_is_in_the_home_directory(offer, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "soonest"
    folder.mkdir(parents=True)
    (folder / "trace.csv").write_bytes(BODY)
    offer(1)
    assert fetch("trace") == folder / "trace.csv"


def test_an_unknown_name_is_refused_with_those_known():
    with pytest.raises(TraceError, match="no public trace 'azure'; known: azure-conv, azure-code, mooncake-conv"):
        fetch("azure")


def test_each_entry_is_whole():
    assert len({entry.file for entry in CATALOGUE.values()}) == len(CATALOGUE)
    for entry in CATALOGUE.values():
        assert urlsplit(entry.url).scheme == "https"
        assert entry.url.endswith("/" + entry.file)
        assert entry.format in FORMATS
        assert entry.licence in {"CC-BY-4.0", "Apache-2.0"}
        assert entry.sha256 is None or bytes.fromhex(entry.sha256).hex() == entry.sha256
