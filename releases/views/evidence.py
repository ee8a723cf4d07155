"""The evidence of a build in one file: what went in, what came out, who asked, and what happened, for an auditor.

The names in it are a promise: they stay, new ones may come. Times are UTC, sizes bytes. Values of environment variables
are not in it: they are no part of the image, and may be secrets.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

import portal
from releases.errors import StorageError
from releases.models import Build, Event, Link
from releases.storage import BuildLog, log_path
from releases.views import seeing
from releases.views.build import find

FORMAT = "release-portal-evidence/1"
INPUTS = (
    "repository", "ref", "ref_kind", "ref_full", "commit", "committed_at", "subject", "directory", "module", "callable",
    "requirements", "probe_path", "probe_policy", "limits", "without_cache", "stack", "stack_digest", "builder_image",
    "runner_image", "base_image", "source_files", "source_size",
)  # fmt: skip
ARTIFACT = ("name", "sha256", "size", "members", "created_at")
IMAGE = (
    "image_id", "tag", "size", "builder_size", "runner_size", "config_digest", "manifest_digest", "runner_layer",
    "created_at",
)  # fmt: skip


@seeing
@require_safe
def show(request: HttpRequest, name: str, number: int) -> HttpResponse:
    facts = evidence(find(name, number), request.build_absolute_uri)
    response = HttpResponse(
        json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1) + "\n", content_type="application/json"
    )
    response["Content-Disposition"] = f'attachment; filename="{name}-{number}-evidence.json"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def evidence(build: Build, whole_address: Any = str) -> dict[str, Any]:
    """Everything that is recorded of a build. `is_final` says whether any of it can still change."""
    return {
        "format": FORMAT,
        "portal": portal.__version__,
        "address": whole_address(build.get_absolute_url()),
        "is_final": build.is_finished,
        "build": {
            "application": build.application.name,
            **facts(build, "number", "state", "outcome", "message", "created_at", "started_at", "finished_at"),
            "rule": build.rule or None,
            "asked_by": build.requested_by.get_username() if build.requested_by else None,
            "rebuild_of": build.retry_of.number if build.retry_of else None,
            "rebase_of": build.rebase_of.number if build.rebase_of else None,
            **facts(build, "worker", "attempt", "limits_hit", "memory_peak"),
        },
        "inputs": {
            **facts(build, *INPUTS, "budgets"),
            "environment_names": sorted(build.environment),
        },
        "over_budget": build.crossings,
        "environment": _environment(build),
        "packages": list(build.packages.order_by("name").values("name", "version", "sha256", "filename")),
        "artifact": facts(build.artifact, *ARTIFACT) if build.artifact else None,
        "image": facts(build.image, *IMAGE) if build.image else None,
        "probe": {name: getattr(build, f"probe_{name}") for name in ("status", "seconds", "memory", "message", "body")},
        "steps": list(
            build.steps.order_by("position").values("name", "result", "started_at", "finished_at", "seconds", "detail")
        ),
        "events": [_event(event) for event in build.events.select_related("link").order_by("id")],
        "log": _log(build, whole_address),
    }


def facts(row: Any, *names: str) -> dict[str, Any]:
    """These fields of a row, as they are recorded."""
    return {name: getattr(row, name) for name in names}


def _event(event: Event) -> dict[str, Any]:
    """What happened, and its place in the chain of the audit trail: None until the transaction has been tied."""
    link: Link | None = getattr(event, "link", None)
    tied = {"position": link.position, "hash": link.hash, "record": link.record or None} if link else None
    return {**facts(event, "id", "at", "verb", "data"), "by": event.actor_name or None, "link": tied}


def _environment(build: Build) -> dict[str, Any] | None:
    kept = build.kept_environment
    if kept is None:
        return None
    made = facts(kept, "key", "inputs", "python", "installer", "is_reproducible", "created_at")
    return {**made, "made_by": kept.made_by.number, "note": build.environment_note}


def _log(build: Build, whole_address: Any) -> dict[str, Any] | None:
    """Where the log is, and the digest of what is downloaded there; None where it cannot be read."""
    digest, size = hashlib.sha256(), 0
    try:
        for piece in BuildLog(log_path(build.pk)).plain():
            digest.update(piece)
            size += len(piece)
    except StorageError:
        return None
    address = reverse("build-log-text", args=[build.application.name, build.number])
    return {"address": whole_address(address), "size": size, "sha256": digest.hexdigest()}
