"""Hosts of private repositories: a web server that asks for user and token, and an ssh server that asks for a key.

Both are real to git: the one hands over to git's own `http-backend`, the other speaks ssh with the real client. At each
request that is let in they look around as anybody on the machine could, with `ps`."""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh

asyncssh.set_log_level("WARNING")


def processes() -> str:
    """Arguments of every process of the machine, and variables of those that are git's or ssh's."""
    seen = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            seen.append(command)
            if b"git" in command or b"ssh" in command:
                seen.append((entry / "environ").read_bytes())
    return b"\n".join(seen).replace(b"\0", b" ").decode("utf-8", "replace")


class PrivateWeb:
    """Serves the repositories of a folder to one user with one token. `as_proxy`: it asks as proxies do."""

    def __init__(self, root: Path, user: str, token: str, *, as_proxy: bool = False) -> None:
        self.root, self.user, self.token, self.as_proxy = root, user, token, as_proxy
        self.asked: list[str] = []
        """Each `Authorization` that came, or nothing."""
        self.seen: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def lets_in(self, authorization: str) -> bool:
        self.asked.append(authorization)
        return authorization == f"Basic {base64.b64encode(f'{self.user}:{self.token}'.encode()).decode()}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    host: PrivateWeb

    def do_GET(self) -> None:
        status, shown, wanted = 401, "Authorization", "WWW-Authenticate"
        if self.host.as_proxy:
            status, shown, wanted = 407, "Proxy-Authorization", "Proxy-Authenticate"
        if not self.host.lets_in(self.headers.get(shown, "")):
            self.send_response(status)
            self.send_header(wanted, 'Basic realm="shop"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.host.seen.append(processes())
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.host.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REMOTE_USER": self.host.user,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        said = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        ).stdout
        head, _, answer = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        return


class PrivateSsh:
    """Serves repositories, by their absolute path, to whom it has the public key of (`allowed`)."""

    def __init__(self) -> None:
        self.allowed: list[str] = []
        self.offered: list[str] = []
        """Fingerprints of the keys that came."""
        self.seen: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener: Any = None
        self.start()

    def start(self) -> None:
        """With a new key of its own; on the same port when it was started before."""
        self._listener = self._wait_for(self._listen())
        self.port = self._listener.get_port()

    def stop(self) -> None:
        async def close() -> None:
            self._listener.close()
            await self._listener.wait_closed()

        self._wait_for(close())

    def close(self) -> None:
        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.stop()
        self._wait_for(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def url(self, bare: Path) -> str:
        return f"ssh://git@127.0.0.1:{self.port}{bare}"

    def _wait_for(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> Any:
        host = self

        class Server(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                host.offered.append(key.get_fingerprint())
                return any(asyncssh.import_public_key(line) == key for line in host.allowed)

        return await asyncssh.create_server(
            Server,
            "127.0.0.1",
            self.port,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            process_factory=self._serve,
            encoding=None,
            reuse_address=True,
        )

    async def _serve(self, process: Any) -> None:
        self.seen.append(processes())
        program, path = shlex.split(process.command)
        assert program == "git-upload-pack"
        command = ("git", "-c", "safe.directory=*", "upload-pack", path)
        git = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
        await process.stdout.drain()
        process.exit(await self._loop.run_in_executor(None, git.wait))
        await process.wait_closed()
