"""The SDK's client with our manners, and the one place where its errors become ours."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import docker
import requests
import urllib3
from docker.auth import get_config_header, resolve_repository_name
from docker.errors import (
    APIError,
    DockerException,
    ImageNotFound,
    NotFound,
    create_api_error_from_http_exception,
)
from docker.utils import kwargs_from_env

from releases.errors import ContainerMissing, EngineError, EngineUnavailable, say

T = TypeVar("T")

DEFAULT_HOST = "unix:///var/run/docker.sock"

PATIENCE = 120
"""Seconds that one request may stay without an answer; streams wait without end."""

UNREACHABLE = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)


class Client(docker.APIClient):
    """The low-level client, with three requests of our own: those that must be ended from another thread, and the
    one whose refusal the SDK keeps to itself."""

    def __init__(self, host: str) -> None:
        options = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": host})
        super().__init__(version="auto", timeout=PATIENCE, **options)
        # REQUESTS_CA_BUNDLE and proxy variables are for the world outside; they would replace the engine's own CA.
        self.trust_env = False

    def read_logs(self, name: str, params: Mapping[str, str | int]) -> Streamed[Printed]:
        """Pieces of both outputs in the order in which the engine kept them."""
        response = self.get(
            self._address(f"/containers/{quote(name)}/logs"),
            params={"stdout": 1, "stderr": 1, "timestamps": 1, **params},
            stream=True,
            timeout=None,
        )
        return Streamed(_printed(_checked(response)), response)

    def start_build(self, context: Iterable[bytes], params: Mapping[str, str | int]) -> Streamed[dict[str, Any]]:
        """The records of a build, once the whole context has been sent."""
        response = self.post(
            self._address("/build"),
            data=context,
            params=params,
            headers={"Content-Type": "application/tar"},
            stream=True,
            timeout=None,
        )
        lines = _checked(response).iter_lines(chunk_size=None)
        return Streamed((json.loads(line) for line in lines if line), response)

    def start_pull(self, repository: str, tag: str) -> Streamed[dict[str, Any]]:
        """The records of a pull; with what the user has signed in to, as on the command line."""
        registry, _ = resolve_repository_name(repository)
        header = get_config_header(self, registry)
        response = self.post(
            self._address("/images/create"),
            params={"fromImage": repository, "tag": tag},
            headers={"X-Registry-Auth": header} if header else {},
            stream=True,
            timeout=None,
        )
        lines = _checked(response).iter_lines(chunk_size=None)
        return Streamed((json.loads(line) for line in lines if line), response)

    def load(self, archive: Iterable[bytes]) -> requests.Response:
        """The SDK's `load_image` keeps the error in the answer's stream to itself, and wants all of it at once."""
        response = self.post(
            self._address("/images/load"),
            data=archive,
            params={"quiet": 1},
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=None,
        )
        return _checked(response)

    def upload(self, name: str, folder: str, data: Iterable[bytes]) -> None:
        """The SDK's `put_archive` answers False without the reason."""
        url = self._address(f"/containers/{quote(name)}/archive")
        _checked(self.put(url, params={"path": folder}, data=data, timeout=PATIENCE))

    def _address(self, path: str) -> str:
        return f"{self.base_url}/v{self.api_version}{path}"


def _checked(response: requests.Response) -> requests.Response:
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        # Reads the engine's own words from the answer, and raises.
        create_api_error_from_http_exception(error)
    return response


@dataclass(frozen=True, slots=True)
class Printed:
    """A piece of a container's output, and when the last bit of it was printed, as the engine writes times."""

    data: bytes
    last: str


def _printed(response: requests.Response) -> Iterator[Printed]:
    """The contents of the frames in which the engine multiplexes both outputs: 8 bytes of head, the last 4 of them
    the length; then the time, a blank, and what was printed. Many small frames are handed on together, because
    each piece costs a change of threads."""
    rest = b""
    for chunk in response.iter_content(None):
        rest += chunk
        contents, last, at = [], b"", 0
        while len(rest) >= at + 8:
            end = at + 8 + int.from_bytes(rest[at + 4 : at + 8], "big")
            if len(rest) < end:
                break
            last, _, content = rest[at + 8 : end].partition(b" ")
            contents.append(content)
            at = end
        rest = rest[at:]
        if contents:
            yield Printed(b"".join(contents), last.decode("ascii", "replace"))


class Streamed(Generic[T]):
    """A long answer. `close` may be called from any thread and ends an iteration that waits."""

    def __init__(self, items: Iterable[T], response: requests.Response) -> None:
        self._items = items
        self._response = response
        self._reading = False

    def __iter__(self) -> Iterator[T]:
        self._reading = True
        try:
            yield from self._items
        finally:
            self._response.close()

    def close(self) -> None:
        if not self._reading:
            self._response.close()
            return
        # Closing the response itself would wait for the very thread that waits in it; woken, that thread closes it.
        # The errors say that the connection is closed already, or was given back because all had been read.
        with suppress(OSError, RuntimeError, ValueError):
            self._response.raw.shutdown()


class Source:
    """Pieces that are sent to the engine; remembers why they ended early, which the SDK would disguise."""

    def __init__(self, pieces: Iterable[bytes], abandoned: Callable[[], bool] = lambda: False) -> None:
        self._pieces = pieces
        self._abandoned = abandoned
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:
                if self._abandoned():
                    raise ConnectionAbortedError("nobody waits for the answer any more")
                yield piece
        except GeneratorExit:  # who reads them went away: the engine's fault, not theirs
            raise
        except BaseException as error:
            self.error = error
            raise


def loopback(host: str) -> str:
    """The address on which the engine publishes ports for us, and at which we reach them: its loopback, or the
    address of a remote engine, whose loopback we would never reach."""
    parts = urlsplit(host)
    if parts.scheme in {"tcp", "http", "https"} and parts.hostname not in {None, "localhost"}:
        return str(parts.hostname)
    return "127.0.0.1"


@contextmanager
def translated(host: str, task: str, *, container: str = "") -> Iterator[None]:
    """Turn whatever the SDK raises inside into our errors; `task` completes "The container engine refused to …".

    Raises `EngineUnavailable`, `ContainerMissing` (when `container` is named) and `EngineError`.
    """
    try:
        yield
    except ImageNotFound as error:
        raise EngineError(
            say("The container engine lacks the image (%(error)s): prepare the stack again.", error=said(error))
        ) from error
    except NotFound as error:
        if container and "no such container" in said(error).lower():
            raise ContainerMissing(
                say("The container %(container)s is no longer there: start the work again.", container=container)
            ) from error
        raise EngineError(
            say("The container engine could not %(task)s: %(error)s.", task=task, error=said(error))
        ) from error
    except APIError as error:
        raise EngineError(
            say("The container engine refused to %(task)s: %(error)s.", task=task, error=said(error))
        ) from error
    except (*UNREACHABLE, DockerException) as error:
        raise unavailable(host, error) from error


def said(error: APIError) -> str:
    """What the engine itself said, without its final stop."""
    return str(error.explanation or error).strip().rstrip(".")


def unavailable(host: str, error: BaseException) -> EngineUnavailable:
    """The sentence for an engine that does not answer."""
    if "Permission denied" in str(error):
        return EngineUnavailable(
            say(
                "The container engine at %(host)s does not let this user in: "
                "add the user to the group docker, or set DOCKER_HOST to an engine of its own.",
                host=host,
            )
        )
    if isinstance(error, DockerException) and "fetching server API version" not in str(error):
        # Nothing was asked yet: the address itself, or the files with its certificates, are not what they should be.
        return EngineUnavailable(
            say(
                "The container engine's address %(host)s cannot be used (%(error)s): correct DOCKER_HOST.",
                host=host,
                error=error,
            )
        )
    return EngineUnavailable(
        say(
            "The container engine does not answer at %(host)s: start it (systemctl start docker, or dockerd as root) "
            "or set DOCKER_HOST.",
            host=host,
        )
    )
