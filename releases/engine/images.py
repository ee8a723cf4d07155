"""Images that are pulled, put together, listed, exported, removed: the part of `DockerEngine` that builds nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from docker.errors import ImageNotFound
from docker.utils import parse_repository_tag

from releases.errors import EngineError, EngineUnavailable, say
from releases.specs import AssembledImage, EngineInfo, ImageInfo, ImagePlan, Output, Stop

from .archive import Described, archive, describe
from .client import Client, Source, Streamed
from .loading import is_same, read_answer, records, shared
from .pump import TICK, Pump

QUIET = 25
"""Seconds without a word of a pull, after which the registry counts as not reachable."""


class Images:
    """What it needs of the engine is named here; `DockerEngine` has it."""

    _image_store: str | None

    @property
    def _client(self) -> Client:
        raise NotImplementedError

    def info(self) -> EngineInfo:
        raise NotImplementedError

    def image(self, reference: str) -> ImageInfo | None:
        raise NotImplementedError

    def _asked(self, task: str, container: str = "") -> AbstractContextManager[None]:
        raise NotImplementedError

    def _own(self, name: str) -> str:
        raise NotImplementedError

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        raise NotImplementedError

    def _remove(self, container: str) -> None:
        raise NotImplementedError

    def tagged(self, prefix: str) -> list[ImageInfo]:
        repository, _, version = prefix.partition(":")
        with self._asked(say("list its images")):
            # A repository is asked for by its whole name; what its tags or its name only begin with, by a pattern.
            pattern = f"{repository}:{version}*" if version or prefix.endswith(":") else f"{repository}*"
            found = self._client.images(filters={"reference": [pattern, f"{repository}*/*"]})
        tags = {tag for record in found for tag in record["RepoTags"] or () if tag.startswith(prefix)}
        images: dict[str, ImageInfo] = {}
        for tag in sorted(tags):
            if image := self.image(tag):
                own = (*images[image.image_id].tags, tag) if image.image_id in images else (tag,)
                images[image.image_id] = replace(image, tags=own)
        return list(images.values())

    def remove_image(self, reference: str) -> None:
        with self._asked(say("remove the image %(reference)s", reference=reference)):
            try:
                self._client.remove_image(reference, force=True)
            except ImageNotFound:
                return

    def pull(self, reference: str, *, output: Output, stop: Stop) -> None:
        repository, tag = parse_repository_tag(reference)
        patience = _Patience(stop)

        def asked() -> AbstractContextManager[None]:
            return self._asked(say("pull %(reference)s", reference=reference))

        def opened() -> Streamed[dict[str, Any]]:
            with asked():
                return self._client.start_pull(repository, tag or "latest")

        with closing(Pump(opened, patience, asked)) as pump:
            for record in pump:
                patience.heard()
                if "error" in record:
                    raise EngineError(
                        say(
                            "The container engine could not pull %(reference)s: %(error)s.",
                            reference=reference,
                            error=_line(record["error"]),
                        )
                    )
                if not record.get("progressDetail"):
                    output(" ".join(filter(None, [record.get("id"), record.get("status")])))

    def import_image(self, archive: Iterator[bytes], *, tag: str, labels: Mapping[str, str], stop: Stop) -> None:
        repository, version = parse_repository_tag(tag)
        changes = ['CMD ["bash"]', *(f"LABEL {name}={value}" for name, value in labels.items())]
        source = Source(_asking(archive, stop))
        try:
            with self._asked(say("take the image %(tag)s", tag=tag)):
                self._client.import_image_from_stream(source, repository=repository, tag=version, changes=changes)
        except EngineError:
            if source.error is not None:
                raise source.error from None
            raise
        if self.image(tag) is None:
            raise EngineError(
                say("The container engine made no image %(tag)s of what it was sent: look at its disk.", tag=tag)
            )

    def assemble(
        self, plan: ImagePlan, *, tag: str, below: str = "", whole: bool = False, output: Output, stop: Stop
    ) -> AssembledImage:
        image = describe(plan)
        found = self.image(tag)
        if not whole and found and is_same(image, found):
            return _assembled(image, found, sparse=True)
        leave_out = frozenset() if whole or not below else shared(image, self.image(below))
        if leave_out:
            try:
                return _assembled(image, self._load(image, tag, leave_out, stop), sparse=True)
            except EngineUnavailable:
                raise
            except EngineError as error:
                output(f"The engine lacks a layer that it should have, so all are sent ({error.message})")
        try:
            return _assembled(image, self._load(image, tag, frozenset(), stop), sparse=False)
        except BaseException:
            with suppress(EngineError):
                self.remove_image(tag)
            raise

    def _load(self, image: Described, tag: str, leave_out: frozenset[str], stop: Stop) -> ImageInfo:
        source = Source(_asking(archive(image, tag, leave_out=leave_out), stop))
        try:
            with self._asked(say("load the image %(tag)s", tag=tag)), self._client.load(source) as answer:
                read_answer(records(answer))
        except EngineError:
            if source.error is not None:
                raise source.error from None
            raise
        found = self.image(tag)
        if found is None or not is_same(image, found):
            raise EngineError(
                say("The container engine made something else of %(tag)s than was sent: look at its version.", tag=tag)
            )
        if self._store() == "containerd":
            self._try(tag)  # there, a tag may stand for an image that lacks a layer, and only this shows it
        return found

    def _store(self) -> str:
        if self._image_store is None:
            self._image_store = self.info().image_store
        return self._image_store

    def _try(self, image: str) -> None:
        name = f"{self._own('try')}-{uuid4().hex[:12]}"
        with self._asked(say("make a container of %(image)s", image=image)):
            self._client.create_container(image, name=name, command=["true"], labels=self._labels({}))
        self._remove(name)

    def export(self, image: str) -> Iterator[bytes]:
        name = f"{self._own('export')}-{uuid4().hex[:12]}"
        with self._asked(say("hand out the files of %(image)s", image=image)):
            self._client.create_container(image, name=name, command=["true"], labels=self._labels({}))
            try:
                yield from self._client.export(name)
            finally:
                self._remove(name)


class _Patience:
    """Also ends the waiting for an engine that says nothing any more: its registry does not answer."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.heard()

    def heard(self) -> None:
        self._last = time.monotonic()

    def check(self) -> None:
        self._stop.check()
        if time.monotonic() - self._last > QUIET:
            raise EngineError(say("The registry did not answer within %(seconds)s s.", seconds=QUIET))


def _line(words: object) -> str:
    return " ".join(str(words).split())[:300].rstrip(".")


def _asking(pieces: Iterator[bytes], stop: Stop) -> Iterator[bytes]:
    """The same pieces, asking at most four times a second whether to go on."""
    asked = 0.0
    for piece in pieces:
        if time.monotonic() - asked >= TICK:
            stop.check()
            asked = time.monotonic()
        yield piece


def _assembled(image: Described, found: ImageInfo, *, sparse: bool) -> AssembledImage:
    return AssembledImage(found.image_id, image.config_digest, image.manifest_digest, image.size, sparse)
