"""One git process: how it is started, watched, bounded and ended.

The environment is empty but for what stands in `Surroundings.environment`, no configuration of the machine or of an
account is read, and every command carries the prelude that passed each attack that was tried against it.
"""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from releases.errors import GitError, say
from releases.specs import AccessKind, NeverStop, Stop

CHUNK = 128 * 1024
LOCAL_SECONDS = 120
"""The longest that work on a mirror may take; a fetch has its own time."""
STEP = 0.2
"""Seconds between two questions to `stop`."""

_PRELUDE = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "credential.helper=",
    "fetch.unpackLimit=1",  # always one pack, renamed into place: a killed fetch leaves no commit without its tree
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "log.showSignature=false",  # it runs a program that the configuration names
    "tar.umask=0022",
    "transfer.credentialsInUrl=die",
    "transfer.unpackLimit=1",  # git 2.39 lets it go before the other, which is documented to go first
)
"""What each is good for is shown in tests/git/test_prelude.py, by a mirror whose own configuration says the contrary;
what is held twice is named in docs/security.md."""
_SSH = (
    "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=10 "
    "-oServerAliveCountMax=3 -oForwardAgent=no -oClearAllForwardings=yes -oPermitLocalCommand=no "
    "-oControlMaster=no -oControlPath=none"  # a shared connection would outlive git and hold its output open
)
_SSH_WITH_KEY = " -oIdentitiesOnly=yes -oIdentityAgent=none -oPreferredAuthentications=publickey -i "


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What git may know of the outside: a CA bundle, proxies, and the file of ssh hosts, all given by settings."""

    ca_bundle: str = ""
    proxy: Mapping[str, str] = field(default_factory=dict)
    known_hosts: Path | None = None
    """Where the key of an ssh host is kept when it is met for the first time; without it, unknown hosts are refused."""

    def environment(self, protocol: str = "", *, key: Path | None = None) -> dict[str, str]:
        """The whole environment of one command; `protocol` is the only one that it may speak, none by default. `key` is
        the file of a private key, and the only one that is then shown to an ssh host."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": protocol or "none",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_SSH_COMMAND": self._ssh(key),
        }
        if protocol in ("https", "http"):
            environment |= {name: value for name, value in self.proxy.items() if value}
            environment |= {"GIT_SSL_CAINFO": self.ca_bundle} if self.ca_bundle else {}
        if protocol == "ssh" and (agent := os.environ.get("SSH_AUTH_SOCK")):
            environment["SSH_AUTH_SOCK"] = agent
        return environment

    def _ssh(self, key: Path | None) -> str:
        """The command for git's shell. ssh expands `%` in names of files, and reads options like its own files."""
        command = f"{_SSH} -oStrictHostKeyChecking={'yes' if self.known_hosts is None else 'accept-new'}"
        if self.known_hosts is not None:
            # What the account's own file says of a host goes on to hold; what is new is written to ours.
            ours = str(self.known_hosts).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
            command += " " + shlex.quote(f'-oUserKnownHostsFile="{ours}" ~/.ssh/known_hosts') + " -oHashKnownHosts=no"
        return command if key is None else command + _SSH_WITH_KEY + shlex.quote(str(key).replace("%", "%%"))


class Failed(Exception):
    """git ended with another code than 0. It never leaves this room: its callers turn it into a sentence."""

    def __init__(self, code: int, said: str, *, shown: AccessKind | None = None) -> None:
        super().__init__(said)
        self.code = code
        self.said = said
        self.shown = shown
        """What the other side was shown of the application's own."""


class _Words:
    """The error output of a process, bounded: its beginning and its end are kept."""

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""

    def add(self, data: bytes) -> None:
        room = max(0, 8 * 1024 - len(self.head))
        self.head += data[:room]
        self.tail = (self.tail + data[room:])[-24 * 1024 :]

    def text(self) -> str:
        return (self.head + self.tail).decode("utf-8", "replace")


def stream(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    git_dir: Path | None = None,
    stop: Stop | None = None,
    seconds: float = LOCAL_SECONDS,
    feed: bytes = b"",
    keep_open: Sequence[int] = (),
    config: Sequence[str] = (),
) -> Generator[bytes, None, None]:
    """Run one git command and give its output as it comes.

    `stop` is asked at least twice a second; when it raises, when the time is over, or when the reader loses interest,
    the whole process group is killed. Time that the reader itself takes does not count against `seconds`. Raises
    `Failed` for an exit code other than 0, `GitError` when git is missing or too slow. `keep_open` are descriptors
    (locks) that live as long as git itself, even when we are killed. `config` are settings for this command alone."""
    command = _command(arguments, git_dir, config)
    with _running(command, environment, feed, keep_open) as process:
        words = _Words()
        yield from _watch(process, words, stop or NeverStop(), seconds, arguments[0])
        if code := process.wait():
            raise Failed(code, words.text())


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    git_dir: Path | None = None,
    stop: Stop | None = None,
    seconds: float = LOCAL_SECONDS,
    feed: bytes = b"",
    keep_open: Sequence[int] = (),
    config: Sequence[str] = (),
    limit: int = 64 * 1024 * 1024,
) -> bytes:
    """Like `stream`, for an answer that fits into memory; more than `limit` bytes raise `GitError`."""
    answer = bytearray()
    chunks = stream(
        arguments,
        environment=environment,
        git_dir=git_dir,
        stop=stop,
        seconds=seconds,
        feed=feed,
        keep_open=keep_open,
        config=config,
    )
    for chunk in chunks:
        answer += chunk
        if len(answer) > limit:
            raise GitError(
                say(
                    "git %(command)s answered with more than %(limit)s MB: that is too much.",
                    command=arguments[0],
                    limit=limit // 1024 // 1024,
                )
            )
    return bytes(answer)


def _command(arguments: Sequence[str], git_dir: Path | None, config: Sequence[str]) -> list[str]:
    command = ["git", "--no-pager"]
    for setting in (*_PRELUDE, *config):
        command += ["-c", setting]
    if git_dir is not None:
        command.append(f"--git-dir={git_dir}")
    return [*command, *arguments]


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], feed: bytes, keep_open: Sequence[int]
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as source:
        source.write(feed)
        source.seek(0)
        try:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd="/",
                stdin=source if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=tuple(keep_open),
            )
        except FileNotFoundError as error:
            raise GitError(
                say("git is not installed on this machine: install the package “git” and try again.")
            ) from error
        except OSError as error:
            raise GitError(
                say("git cannot be started on this machine: %(strerror)s.", strerror=error.strerror)
            ) from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _watch(process: subprocess.Popen[bytes], words: _Words, stop: Stop, seconds: float, name: str) -> Iterator[bytes]:
    """Output until both pipes are closed; error output is kept in `words`."""
    assert process.stdout is not None  # noqa: S101 - both were asked for as pipes
    assert process.stderr is not None  # noqa: S101
    left, asked = seconds, 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ, words)
        while selector.get_map():
            before = time.monotonic()
            if before - asked >= STEP:
                stop.check()
                asked = before
            ready = selector.select(STEP)
            left -= time.monotonic() - before
            if left < 0:
                raise GitError(
                    say(
                        "git %(name)s took longer than %(seconds).0f seconds and was ended: try again later.",
                        name=name,
                        seconds=seconds,
                    )
                )
            for key, _ in ready:
                source: IO[bytes] = key.fileobj  # type: ignore[assignment] # we registered the two pipes ourselves
                data = os.read(source.fileno(), CHUNK)
                if not data:
                    selector.unregister(source)
                elif key.data is words:
                    words.add(data)
                else:
                    yield data
