"""Rows as the portal itself would have written them: through the models' own verbs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.utils import timezone

from releases.models import (
    Application,
    Artifact,
    Build,
    Comparison,
    Environment,
    Event,
    Image,
    Move,
    Outcome,
    Package,
    Preparation,
    Ref,
    Step,
)
from releases.models.version import version_key
from releases.specs import CommitFacts, Difference, FileChange, Limits, StackImages
from releases.stacks import stack as stacks

PASSWORD = "plum-pear-quince"
GROUPS = (
    ("0002_promises", "make_groups"),
    ("0004_promises_of_environments", "let_groups_see"),
    ("0008_promises_of_comparisons", "let_groups_see"),
    ("0009_refs_that_tell", "let_groups_see"),
    ("0011_operators", "make_group"),
    ("0022_chain", "let_groups_see"),
)
"""What the migrations say of groups, in their order."""
_next = count(1)


def user(role: str = "release managers", username: str = "", **fields: Any) -> User:
    """A person in one of the groups; `role=""` is in none."""
    person = User.objects.create_user(username or f"person{next(_next)}", password=PASSWORD, **fields)
    if role:
        if not Group.objects.filter(name=role).exists():  # a test with real transactions has emptied all tables
            for name, function in GROUPS:
                getattr(import_module(f"releases.migrations.{name}"), function)(apps, None)
        person.groups.add(Group.objects.get(name=role))
    return person


def application(name: str = "", **fields: Any) -> Application:
    name = name or f"shop-{next(_next)}"
    given = {"repository": f"https://git.example.org/shop/{name}.git", "stack": "python3.13-uwsgi", **fields}
    return Application.objects.create(name=name, **given)


def ref(app: Application, name: str, *, kind: str = "tag", age: timedelta = timedelta(hours=1), **fields: Any) -> Ref:
    """A ref as reading the repository leaves it; its commit is derived from its name."""
    folder = "tags" if kind == "tag" else "heads"
    given = {
        "commit": commit(f"{app.name} {name}"),
        "committed_at": timezone.now() - age,
        "subject": f"What {name} brings",
        "version": version_key(name) if kind == "tag" else "",
        "first_seen_at": timezone.now(),
        **fields,
    }
    return Ref.objects.create(application=app, kind=kind, name=name, full_name=f"refs/{folder}/{name}", **given)


def moved(ref: Ref, to: str = "elsewhere") -> Move:
    """The tag points to another commit now, as the next reading leaves it; with `to=""` it is gone."""
    move = Move.objects.create(
        application=ref.application, name=ref.name, full_name=ref.full_name, before=ref.commit,
        after=commit(to) if to else "", noticed_at=timezone.now(),
    )  # fmt: skip
    if move.is_gone:
        ref.delete()
    else:
        Ref.objects.filter(pk=ref.pk).update(commit=move.after, moved_at=move.noticed_at, moved_from=move.before)
        ref.refresh_from_db()
    verb = "ref.deleted" if move.is_gone else "ref.moved"
    Event.objects.record(verb, application=move.application, data=move.facts())
    return move


def commit(seed: str) -> str:
    return hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()


def sha256(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()


def queued_build(
    app: Application | None = None, *, by: User | None = None, ref: Ref | str | None = None, **frozen: Any
) -> Build:
    """A build that was asked for; without `ref` it is of a tag that no other active build of the application has."""
    app = app or application()
    number = next(_next)
    busy = Build.objects.active().filter(application=app, ref="v1.0.0").exists()
    name = ref if isinstance(ref, str) else f"v1.0.{number}" if busy else "v1.0.0"
    given: dict[str, Any] = {
        "ref": name,
        "ref_kind": "tag",
        "ref_full": f"refs/tags/{name}",
        "commit": commit(f"build {number}"),
        "subject": "Sort fruit by season",
        "limits": Limits().as_json(),
    }
    if isinstance(ref, Ref):
        given.update(ref=ref.name, ref_kind=ref.kind, ref_full=ref.full_name, commit=ref.commit, subject=ref.subject)
    return Build.objects.request(app, by=by, **{**given, **frozen})


def running_build(app: Application | None = None, *, worker: str = "forge-1", **frozen: Any) -> Build:
    """A build that a worker is producing."""
    build = queued_build(app, **frozen)
    assert build.take_up(worker=worker)
    build.mark_producing()
    return build


def finished_build(
    app: Application | None = None,
    outcome: Outcome = Outcome.FAILED,
    message: str = "There is no requirements.txt at the root of the repository: add one, or set where it lies.",
    **frozen: Any,
) -> Build:
    """A build that ended otherwise than well."""
    build = running_build(app, **frozen)
    build.mark_ended(outcome, message)
    return build


def succeeded_build(
    app: Application | None = None,
    *,
    size: int = 43_187_456,
    builder_size: int = 388_014_592,
    artifact_bytes: bytes | None = None,
    packages: dict[str, str] | None = None,
    runner: str = "",
    weighed: dict[str, Any] | None = None,
    **frozen: Any,
) -> Build:
    """A release with its artifact, image, steps, packages and a probe that answered 200. With `runner`, the word that
    stands for a runtime, it has the kept environment and the layers of a release that can be rebased; with `weighed`,
    the `members` and `sheets` of its archive."""
    build = running_build(app, **frozen)
    content = artifact_bytes if artifact_bytes is not None else f"artifact {build.pk}".encode()
    digest = hashlib.sha256(content).hexdigest()
    artifact, _ = Artifact.objects.get_or_create(
        sha256=digest,
        defaults={
            "size": len(content) if artifact_bytes is not None else 3_412_880,
            "sheets": [{"diff_id": sha256("source"), "size": 1024, "members": [0]}] if runner else [],
            **(weighed or {}),
        },
    )
    image = Image.objects.create(
        image_id=f"sha256:{sha256(f'image {build.pk}')}",
        tag=f"release-portal/{build.application.name}:{build.number}",
        size=size,
        builder_size=builder_size,
        artifact=artifact,
    )
    build.note(
        artifact=artifact,
        image=image,
        stack_digest=sha256("stack"),
        probe_status=200,
        probe_seconds=0.96,
        probe_memory=34_000_000,
        probe_body="Welcome to the fruit shop",
        probe_message="GET / answered 200 in 0.96 s.",
    )
    if runner:
        build.note(runner_image=image_id(runner), kept_environment=environment(build))
    for position, (name, seconds) in enumerate(
        {"checkout": 0.36, "produce": 20.1, "collect": 0.2, "package": 2.4, "probe": 0.96}.items()
    ):
        began = datetime.now(UTC) - timedelta(seconds=30)
        Step.objects.create(
            build=build, position=position, name=name, result="succeeded", started_at=began,
            finished_at=began + timedelta(seconds=seconds), seconds=seconds,
        )  # fmt: skip
    for name, version in (packages if packages is not None else {"flask": "3.1.3"}).items():
        Package.objects.create(build=build, name=name, version=version, sha256=sha256(f"{name} {version}"))
    build.mark_packaging()
    build.mark_probing()
    build.mark_succeeded("Released.")
    return build


def image_id(word: str) -> str:
    """The id of an image that is called so in a test."""
    return f"sha256:{sha256(f'image {word}')}"


def prepared(runner: str, name: str = "python3.13-uwsgi") -> Preparation:
    """The stack as it stands in its folder, made with this runtime."""
    row = Preparation.objects.request(name, stacks.load(name).digest, by=None)
    assert row.take_up()
    images = StackImages(image_id("builder"), 388_014_592, image_id(runner), 41_000_000, "", row.digest)
    row.mark_succeeded(images, "Builder 388 MB, runner 41 MB.")
    return row


def environment(build: Build, **fields: Any) -> Environment:
    """An environment that this build has made and that is kept."""
    package = {"name": "flask", "version": "3.1.3", "sha256": sha256("flask"), "filename": "", "source": "wheel"}
    given = {
        "inputs": sha256("inputs"),
        "key": sha256("environment"),
        "stack": build.stack,
        "stack_digest": sha256("stack"),
        "builder_image": f"sha256:{sha256('builder')}",
        "python": "3.13.5",
        "installer": "uv",
        "is_reproducible": True,
        "packages": [package],
        "parts": [],
        **fields,
    }
    return Environment.objects.create(application=build.application, made_by=build, **given)


def difference(commits: int = 2, files: int = 3, /, **fields: Any) -> Difference:
    """As it is read from a repository: so many commits that come, and files that changed."""
    given: dict[str, Any] = {
        "base": commit("base"),
        "come": tuple(
            CommitFacts(commit(f"commit {number}"), "Ana Gil", 1_790_000_000 - number * 86_400, f"Change {number}")
            for number in range(commits)
        ),
        "come_count": commits,
        "files": tuple(FileChange(f"app/file{number:04}.py", "changed", 100, 112) for number in range(files)),
        "changed": files,
        **fields,
    }
    return Difference(**given)


def comparison(old: Build, new: Build, found: Difference | None = None) -> Comparison:
    """What lies between two builds, already read."""
    row, _ = Comparison.objects.ask(old.application, old.commit, new.commit)
    found = found or difference()
    row.mark_read(found if old.commit == row.low else found.turned())
    return row
