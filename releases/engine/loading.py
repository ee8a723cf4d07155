"""Loading images that are put together here: sparsely where the engine has what lies below, as a whole otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from releases.errors import EngineError, say
from releases.specs import ImageInfo

from .archive import Described


def shared(image: Described, below: ImageInfo | None) -> frozenset[str]:
    """The diff ids, lowest first, that the plan and an image of the engine have in common."""
    have = below.layers if below else ()
    same = []
    for layer, other in zip(image.plan.layers, have, strict=False):
        if layer.diff_id != other:
            break
        same.append(layer.diff_id)
    return frozenset(same)


def is_same(image: Described, found: ImageInfo | None) -> bool:
    """Whether what the engine shows under a tag is the image that was planned."""
    return (
        found is not None
        and found.image_id in (image.config_digest, image.manifest_digest)
        and found.layers == tuple(layer.diff_id for layer in image.plan.layers)
    )


def read_answer(records: Iterator[Mapping[str, Any]]) -> None:
    """A load that failed answers 200 with an error in its stream. Raises `EngineError` for one."""
    for record in records:
        if "error" in record:
            raise EngineError(
                say("The container engine could not load an image: %(error)s", error=str(record["error"]).strip())
            )


def records(response: requests.Response) -> Iterator[Mapping[str, Any]]:
    for line in response.iter_lines(chunk_size=None):
        if line:
            yield json.loads(line)
