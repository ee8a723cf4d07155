"""`DockerEngine`: the `Engine` of specs.py on a real Docker engine (API 1.41 and later)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

from releases.errors import BuildFailed, EngineError, say
from releases.specs import (
    ContainerInfo,
    ContainerSpec,
    EngineInfo,
    ExitStatus,
    ImageInfo,
    Output,
    Stop,
    Usage,
)

from . import containers, files
from .building import BuildReader
from .client import DEFAULT_HOST, Client, Printed, Source, Streamed, loopback, said, translated
from .disk import Disks
from .images import Images
from .lines import LineSplitter
from .networks import Networks
from .pump import Pump

INSTANCE_LABEL = "release-portal.instance"

LOOK_AGAIN = 0.1
"""Seconds between two looks at a container that should end."""

GOING = 10.0
"""Seconds that the engine may take to carry out a removal."""


class DockerEngine(Images, Networks, Disks):
    """One engine, and of its containers and images those that this instance of the portal made.

    `docker_host` is as Docker's own variable has it (empty: the local socket); `instance` goes on everything that
    is made here, as the label `release-portal.instance`, and lists hold nothing else.
    """

    def __init__(self, docker_host: str = "", *, instance: str) -> None:
        self.host = docker_host or DEFAULT_HOST
        self.instance = instance
        self._connected: Client | None = None
        self._image_store: str | None = None

    # ---- images ----------------------------------------------------------------------------------------

    def info(self) -> EngineInfo:
        with self._asked(say("tell about itself")):
            version, facts = self._client.version(), self._client.info()
        self._image_store = "containerd" if containers.uses_containerd(facts) else ""
        return EngineInfo(
            version=version["Version"],
            api_version=version["ApiVersion"],
            storage_driver=facts["Driver"],
            root=facts["DockerRootDir"],
            image_store=self._image_store,
            images=int(facts.get("Images", 0)),
            containers=int(facts.get("ContainersRunning", 0)),
            runtimes=tuple(sorted(facts.get("Runtimes") or ())),
        )

    def image(self, reference: str) -> ImageInfo | None:
        with self._asked(say("show the image %(reference)s", reference=reference)):
            try:
                record = self._client.inspect_image(reference)  # type: ignore[no-untyped-call] # the stubs forgot it
                return containers.image_info(record)
            except ImageNotFound:
                return None

    def images(self, labels: Mapping[str, str]) -> list[ImageInfo]:
        with self._asked(say("list its images")):
            found = self._client.images(filters={"label": self._filter(labels)})
        listed = [self.image(record["Id"]) for record in found]
        # One that went between the two questions is simply no longer there.
        return [image for image in listed if image is not None]

    def build_image(
        self,
        context: Iterator[bytes],
        *,
        tag: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        target: str = "",
        memory: int = 0,
        cache: bool = True,
        output: Output,
        stop: Stop,
    ) -> ImageInfo:
        params: dict[str, str | int] = {
            "t": tag,
            "labels": json.dumps(self._labels(labels)),
            "buildargs": json.dumps(dict(arguments)),
            "rm": 1,
            "forcerm": 1,
        }
        if not cache:
            params["nocache"] = 1
        if target:
            params["target"] = target
        if memory:
            params |= {"memory": memory, "memswap": memory}
        reader = BuildReader(tag, output)
        try:
            self._read_build(context, params, reader, stop)
        except BaseException:
            self._clear_after(reader)
            raise
        image = self.image(reader.image_id) if reader.image_id else None
        if image is None:
            raise EngineError(
                say("The container engine ended the build of %(tag)s without an image: try again.", tag=tag)
            )
        return image

    def _read_build(
        self, context: Iterator[bytes], params: Mapping[str, str | int], reader: BuildReader, stop: Stop
    ) -> None:
        def opened() -> Streamed[dict[str, Any]]:
            source = Source(context, lambda: pump.closed)
            try:
                with self._asked(say("build %(tag)s", tag=reader.tag)):
                    return self._start_build(source, params, reader.tag)
            except EngineError:
                if source.error is not None:
                    raise source.error from None
                raise

        pump = Pump(opened, stop, lambda: self._asked(say("build %(tag)s", tag=reader.tag)))
        with closing(pump):
            for record in pump:
                reader.read(record)
        reader.flush()

    def _start_build(self, source: Source, params: Mapping[str, str | int], tag: str) -> Streamed[dict[str, Any]]:
        try:
            return self._client.start_build(source, params)
        except APIError as error:
            # A Dockerfile that cannot be read is refused before anything is built.
            if error.response is not None and error.response.status_code == 400:
                raise BuildFailed(
                    say("The Dockerfile of %(tag)s cannot be used: %(error)s", tag=tag, error=said(error))
                ) from error
            raise

    def _clear_after(self, reader: BuildReader) -> None:
        """Closing the connection ends a build, but the engine needs a moment for it, and it keeps what the steps
        up to there made."""
        try:
            for container in reader.containers[-1:]:
                self._remove(container)
            for layer in reversed(reader.layers):
                self._remove_layer(layer)
        except EngineError:
            # The reason why the build ended is what a person needs; the sweeper removes what is left.
            return

    def _remove_layer(self, layer: str) -> None:
        image = self.image(layer)
        if image is None or image.tags:
            return
        try:
            with self._asked(say("remove the layer %(layer)s", layer=layer)):
                self._client.remove_image(layer, noprune=True)
        except EngineError:
            # Another build uses it by now.
            return

    # ---- the life of a container ---------------------------------------------------------------------------

    def create(self, spec: ContainerSpec) -> None:
        self.network(spec.network)
        with self._asked(say("create the container %(name)s", name=spec.name)):
            # It refuses to promise more processors than it has; a limit above that is none.
            fitting = replace(spec, cpus=min(spec.cpus, float(self._client.info()["NCPU"])))
            self._client.create_container(
                spec.image,
                name=self._own(spec.name),
                labels=self._labels(spec.labels),
                environment=dict(spec.environment),
                user=spec.user or None,
                entrypoint=list(spec.entrypoint) or None,
                command=list(spec.command) or None,
                volumes=list(spec.volumes),
                ports=[spec.publish] if spec.publish else None,
                host_config=containers.host_config(
                    self._client, fitting, network=self._own(spec.network), publish_on=loopback(self.host)
                ),
                # Only what the specification says: nothing from the client's own configuration.
                use_config_proxy=False,
            )

    def put(self, name: str, folder: str, archive: Iterator[bytes]) -> None:
        source = Source(archive)
        try:
            with self._asked(say("put files into %(folder)s of %(name)s", folder=folder, name=name), name):
                self._client.upload(self._own(name), folder, source)
        except EngineError:
            if source.error is not None:
                raise source.error from None
            raise

    def start(self, name: str) -> None:
        with self._asked(say("start the container %(name)s", name=name), name):
            self._client.start(self._own(name))

    def follow(self, name: str, *, output: Output, stop: Stop) -> ExitStatus:
        if self._inspect(name)["State"]["Status"] == "created":
            raise EngineError(say("The container %(name)s was not started, so there is nothing to follow.", name=name))

        lines = LineSplitter()
        last = self._read_log(name, {"follow": 1}, lines, output, stop)
        # The engine may lose its place in a log that a very chatty container makes it rotate, and end the stream.
        while (status := self.wait(name, seconds=0.4)) is None:
            stop.check()
            last = self._read_log(name, {"follow": 1, **_since(last)}, lines, output, stop) or last
        self._read_log(name, _since(last), lines, output, stop)
        for line in lines.flush():
            output(line)
        return status

    def _read_log(
        self, name: str, params: Mapping[str, str | int], lines: LineSplitter, output: Output, stop: Stop
    ) -> str:
        """Give the lines, and return when the last of them was printed; empty when there were none."""

        def opened() -> Streamed[Printed]:
            with self._asked(say("show the output of %(name)s", name=name), name):
                return self._client.read_logs(self._own(name), params)

        last = ""
        pump = Pump(opened, stop, lambda: self._asked(say("show the output of %(name)s", name=name), name))
        with closing(pump):
            for piece in pump:
                last = piece.last
                for line in lines.feed(piece.data):
                    output(line)
        return last

    def output(self, name: str, *, since: float = 0.0, until: float = 0.0, limit: int = 64 * 1024) -> str:
        kept = bytearray()
        bounds = {"since": since, "until": until}
        params: dict[str, str | int] = {bound: f"{moment:.9f}" for bound, moment in bounds.items() if moment > 0}
        with self._asked(say("show the output of %(name)s", name=name), name):
            for piece in self._client.read_logs(self._own(name), params):
                kept += piece.data
                # Not at every piece: moving the bytes each time would be quadratic.
                if len(kept) > 2 * limit + 64 * 1024:
                    del kept[:-limit]
        return bytes(kept[-limit:] if limit else b"").decode("utf-8", "replace")

    def wait(self, name: str, *, seconds: float) -> ExitStatus | None:
        until = time.monotonic() + seconds
        while (status := containers.exit_status(self._inspect(name))) is None:
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(LOOK_AGAIN, left))
        return status

    def usage(self, name: str) -> Usage:
        with self._asked(say("measure the container %(name)s", name=name), name):
            return containers.usage(self._client.stats(self._own(name), stream=False, one_shot=True))

    def take_file(self, name: str, path: str, *, limit: int) -> Iterator[bytes]:
        with self._asked(say("hand out %(path)s of %(name)s", path=path, name=name), name):
            try:
                stream, _ = self._client.get_archive(self._own(name), path)
            except NotFound as error:
                if "no such container" in said(error).lower():
                    raise
                raise BuildFailed(
                    say("The container left no file at %(path)s: its last lines say why.", path=path)
                ) from error
            yield from files.only_file(stream, path, limit)

    def address(self, name: str, port: int) -> str:
        bound = (self._inspect(name)["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
        if not bound:
            raise EngineError(
                say(
                    "The container %(name)s does not publish its port %(port)s at the moment: start it first.",
                    name=name,
                    port=port,
                )
            )
        return f"{loopback(self.host)}:{bound[0]['HostPort']}"

    def containers(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        with self._asked(say("list its containers")):
            found = self._client.containers(all=True, filters={"label": self._filter(labels)})
        return [
            ContainerInfo(
                name=record["Names"][0].removeprefix(f"/{self._own('')}") if record["Names"] else record["Id"],
                running=record["State"] in {"running", "paused", "restarting"},
                labels=dict(record["Labels"] or {}),
                created=float(record["Created"]),
            )
            for record in found
        ]

    def kill(self, name: str) -> None:
        with self._asked(say("end the container %(name)s", name=name)):
            try:
                self._client.kill(self._own(name))
            except APIError as error:
                # 404: it is not there. 409: it is not running.
                if error.response is None or error.response.status_code not in {404, 409}:
                    raise

    def remove(self, name: str) -> None:
        self._remove(self._own(name))

    def _remove(self, container: str) -> None:
        """By the engine's name or id of it."""
        with self._asked(say("remove the container %(container)s", container=container)):
            try:
                self._client.remove_container(container, v=True, force=True)
            except APIError as error:
                # 404: it is not there. 409: somebody else is removing it right now, which takes a moment.
                if error.response is None or error.response.status_code not in {404, 409}:
                    raise
                self._wait_until_gone(container)

    def _wait_until_gone(self, container: str) -> None:
        until = time.monotonic() + GOING
        while time.monotonic() < until:
            try:
                self._client.inspect_container(container)
            except NotFound:
                return
            time.sleep(LOOK_AGAIN)
        raise EngineError(
            say(
                "The container engine is still removing %(container)s after %(seconds).0f seconds: look at its log.",
                container=container,
                seconds=GOING,
            )
        )

    # ---- the engine itself -----------------------------------------------------------------------------------

    @property
    def _client(self) -> Client:
        """Connected at first use, so that an engine that comes back is found again; use inside `_asked` only."""
        if self._connected is None:
            self._connected = Client(self.host)
        return self._connected

    def _asked(self, task: str, container: str = "") -> AbstractContextManager[None]:
        return translated(self.host, task, container=container)

    def _inspect(self, name: str) -> dict[str, Any]:
        with self._asked(say("show the container %(name)s", name=name), name):
            record: dict[str, Any] = self._client.inspect_container(self._own(name))
            return record

    def _own(self, name: str) -> str:
        """The engine's name for it: two portals number their builds alike, and may share an engine."""
        return f"portal-{self.instance}-{name}"

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {**labels, INSTANCE_LABEL: self.instance}

    def _filter(self, labels: Mapping[str, str]) -> list[str]:
        return [f"{name}={value}" if value else name for name, value in self._labels(labels).items()]


def _since(last: str) -> dict[str, str | int]:
    """Asks for what was printed after this moment, which the engine counts in nanoseconds."""
    if not last:
        return {}
    whole, nanoseconds = containers.moment(last)
    return {"since": f"{whole}.{nanoseconds + 1:09d}"}


def connect() -> DockerEngine:
    """The engine that the settings name. Nothing is asked of it yet: its absence shows at the first use."""
    from django.conf import settings

    return DockerEngine(settings.DOCKER_HOST, instance=settings.PORTAL_INSTANCE)
