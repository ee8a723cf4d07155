"""Kept files that no row names: their worker was killed after a file was published and before it was recorded.

Published first and recorded then, because the other order would leave rows without bytes. What was never recorded is
removed when it is old: until then, the build that published it may still be on the way to record it.
"""

from __future__ import annotations

from django.db.models import CharField, F, Func
from django.db.models.fields.json import KeyTextTransform

from releases.models import Artifact, Environment, Image
from releases.specs import Engine
from releases.storage import Blobs

ORPHAN_SECONDS = 24 * 3600.0
"""Longer than any build may take."""
STACKS = "release-portal/"
"""How the tags of every stack's images begin."""


def sweep_orphans(blobs: Blobs, engine: Engine) -> int:
    """Remove them; says how many. Raises `EngineError`: without the engine it is not known which runners are in use."""
    return blobs.sweep_unrecorded(_recorded(engine), ORPHAN_SECONDS)


def _recorded(engine: Engine) -> set[str]:
    """All that a row names, and the layers of the stacks' images: a runner has no row before its first release."""
    part = KeyTextTransform("sha256", Func(F("parts"), function="jsonb_array_elements"), output_field=CharField())
    layers = {layer for image in engine.tagged(STACKS) for layer in image.layers}
    return layers.union(
        Artifact.objects.values_list("sha256", flat=True).iterator(),
        Environment.objects.values_list(part, flat=True).distinct().iterator(),
        Image.objects.values_list("runner_layer", flat=True).distinct().iterator(),
    )
