"""An engine that says given bytes, and a client that sends some: what HTTP libraries would never do."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"
RESET = struct.pack("ii", 1, 0)


class Said:
    """Where the engine is, and how often it was asked for an answer."""

    def __init__(self, url):
        self.url, self.asked = url, 0


@contextlib.contextmanager
def engine(*parts, reset=False, then=None):
    """An engine that answers each POST with these parts, some time apart, and then ends or resets the connection.

    `then`: the parts of all but the first.
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):
                while line := self.rfile.readline():
                    length = 0
                    while (header := self.rfile.readline()) not in {b"\r\n", b""}:
                        name, _, value = header.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    self.rfile.read(length)
                    if not line.startswith(b"POST"):
                        self.wfile.write(NOT_FOUND)
                        continue
                    said.asked += 1
                    for part in parts if then is None or said.asked == 1 else then:
                        self.wfile.write(part)
                        time.sleep(0.1)
                    if reset:
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        self.connection.close()
                    return

        def finish(self):
            with contextlib.suppress(OSError):
                super().finish()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        said = Said(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield said
        finally:
            server.shutdown()


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def connect(url, *, buffer=0):
    """A connection; with a small `buffer` of what it receives."""
    host = urllib.parse.urlsplit(url)
    made = socket.socket()
    if buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.settimeout(10)
    made.connect((host.hostname, host.port))
    return made


def post(path, body):
    """A request with this body, as it goes over the wire."""
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


def answer(url, head, body=b""):
    """All that comes back for these bytes until the connection ends; `head` without its last empty line."""
    with connect(url) as made:
        made.sendall(b"%b\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        found = b""
        while data := made.recv(1 << 16):
            found += data
        return found
