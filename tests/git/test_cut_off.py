"""A connection that is cut in the middle of a fetch, after so many bytes: said as that, and the next fetch is whole."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from releases.errors import SourceUnavailable
from releases.git import Git
from tests.git.conftest import Origin

CUTS = (*range(0, 1600, 60), *range(2_000, 150_000, 21_000))
"""Bytes: closely through heads, refs and the beginning of the pack, then through the pack."""
HEAD = 200


class CuttingServer(ThreadingHTTPServer):
    """Serves a folder of repositories by git's own CGI, and cuts the connection when `budget` bytes were sent."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.budget: int | None = None
        self.sent = 0
        self.reset = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/shop.git"


class _Handler(BaseHTTPRequestHandler):
    server: CuttingServer

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        length = f"\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
        self._send(b"HTTP/1.1 200 OK\r\n" + head + length + content)
        self.close_connection = True

    def _send(self, answer: bytes) -> None:
        server = self.server
        room = len(answer) if server.budget is None else max(server.budget - server.sent, 0)
        self.wfile.write(answer[:room])
        server.sent += min(room, len(answer))
        if room < len(answer) and server.reset:  # no farewell at all, as when a cable is pulled and a router answers
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server(origin: Origin) -> Iterator[CuttingServer]:
    origin.commit("Bring something to be sent", {"app/noise.bin": os.urandom(150_000)})
    origin.git("tag", "v1.2.0")
    origin.push()
    with CuttingServer(origin.bare.parent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_fetch_that_is_cut_off_says_so_and_can_be_done_again(reset: bool, git: Git, server: CuttingServer) -> None:
    whole = git.refresh("uncut", server.url)
    total, server.reset = server.sent, reset
    for cut in CUTS[::3] if reset else CUTS:
        name, server.budget, server.sent = f"shop-{cut}", cut, 0
        with pytest.raises(SourceUnavailable) as told:
            git.refresh(name, server.url)
        assert server.url in told.value.message
        # Cut in the head of the first answer, it looks like an answer without any refs.
        words = "is no git repository" if 0 < server.budget < HEAD else "try again"
        assert words in told.value.message, f"cut after {server.budget} of {total} bytes"
        assert not list((git.mirrors / name).glob("refs/**/v1.2.0"))  # no name for what did not come
        server.budget = None
        assert git.refresh(name, server.url) == whole
        assert not list((git.mirrors / name).glob("objects/pack/tmp_*"))
        assert git.read_file(name, whole[0].commit, "app/app.py") is not None
