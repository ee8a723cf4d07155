"""Rows that the tests of the models need beside those of tests/factories.py."""

from __future__ import annotations

from typing import Any

from releases.models import Artifact, Image
from tests import factories


def image(artifact: Artifact, **fields: Any) -> Image:
    """An image of this artifact that no build has noted yet."""
    given = {
        "image_id": f"sha256:{factories.sha256('image')}",
        "tag": "release-portal/shop:1",
        "size": 1,
        "builder_size": 2,
    }
    return Image.objects.create(artifact=artifact, **{**given, **fields})
