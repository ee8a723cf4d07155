"""Invented applications and builds by the hundred thousand, to see how the portal does with them.

Every row says so: names begin with `invented-`, repositories lie on a host that cannot exist, finished builds have a
message that names them invented, and the people among them cannot sign in. The same numbers give the same rows.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.utils import timezone

from releases.management import rights
from releases.management.copying import copy_in, first_id, go_on_after
from releases.models import (
    Application,
    Artifact,
    Build,
    Environment,
    Event,
    Image,
    Outcome,
    Package,
    Ref,
    RefKindChoices,
    State,
    Step,
    StepName,
)

PREFIX = "invented-"
HOST = "https://invented.invalid/"
MESSAGE = "Invented, to measure the pages: nothing was built."
YEARS = timedelta(days=3 * 365)
AT_ONCE = 5000
"""Builds whose rows are in memory at a time."""
FRUITS = ("apple", "cherry", "damson", "elder", "fig", "hazel", "medlar", "olive", "pear", "quince")
PEOPLE = (("ana", "Ana", "Gil"), ("iker", "Iker", "Sanz"), ("marta", "Marta", "Ruiz"), ("noor", "Noor", "Haddad"))
# fmt: off
LIBRARIES = (
    "flask", "django", "requests", "numpy", "sqlalchemy", "psycopg", "werkzeug", "jinja2", "markupsafe", "click",
    "itsdangerous", "blinker", "urllib3", "idna", "certifi", "charset-normalizer", "gunicorn", "redis", "celery", "h11",
    "kombu", "boto3", "botocore", "pydantic", "pydantic-core", "starlette", "fastapi", "uvicorn", "anyio", "sniffio",
    "httpx", "lxml", "pillow", "cryptography", "cffi", "pycparser", "attrs", "packaging", "pyyaml", "typing-extensions",
)
# fmt: on
SECONDS = {
    StepName.CHECKOUT: 0.4,
    StepName.PRODUCE: 9.0,
    StepName.COLLECT: 0.2,
    StepName.PACKAGE: 1.4,
    StepName.PROBE: 1.0,
}
ENDS = (Outcome.FAILED,) * 10 + (Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY, Outcome.CANCELLED, Outcome.WORKER_LOST)
SUCCEEDING, AGAIN, REBASED, OF_A_BRANCH, NEW_ENVIRONMENT = 0.84, 0.05, 0.03, 0.1, 0.1
"""How likely it is that a build succeeds, is a rebuild, a rebase, of a branch, and that its environment is new."""
LIMITS = settings.BUILD_LIMITS.as_json()


def sha256(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()


def commit(seed: str) -> str:
    return sha256(seed)[:40]


@dataclass(slots=True)
class Line:
    """One application as its builds are invented one after the other."""

    row: Application
    packages: dict[str, str]
    refs: list[Ref] = field(default_factory=list)
    built: int = 0
    tagged: int = 0
    release: Build | None = None
    environment: Environment | None = None


@dataclass(slots=True)
class Rows:
    """What waits to be written, and the ids that come next."""

    waiting: dict[type[models.Model], list[models.Model]] = field(default_factory=dict)
    ids: dict[type[models.Model], int] = field(default_factory=dict)

    def add(self, row: Any) -> Any:
        kind = type(row)
        number = self.ids.get(kind) or first_id(kind)
        self.ids[kind], row.pk = number + 1, number
        self.waiting.setdefault(kind, []).append(row)
        return row

    def write(self) -> None:
        for kind, rows in self.waiting.items():
            copy_in(kind, rows)
            rows.clear()

    def end(self) -> None:
        self.write()
        for kind in self.ids:
            go_on_after(kind)


def real_builds() -> int:
    """Builds of applications that are not invented."""
    return Build.objects.exclude(application__repository__startswith=HOST).count()


@transaction.atomic
def invent(applications: int, builds: int, active: int) -> None:
    """All rows in one transaction. `active` of the builds are at work, with a lease of a day."""
    chance = random.Random(1)  # noqa: S311 (the same numbers give the same rows)
    rows, now = Rows(), timezone.now()
    lines = [_line(rows, chance, number, now) for number in range(1, applications + 1)]
    people = [*_people(rows, now), None]
    over = max(0, builds - active)
    for number, line in enumerate(_turns(chance, lines, over), start=1):
        at = now - timedelta(hours=1) - YEARS * (1 - number / over)
        _finished(rows, chance, line, people[number % len(people)], at)
        if number % AT_ONCE == 0:
            rows.write()
    for number, line in enumerate(lines[: builds - over]):
        _at_work(rows, line, people[0], now - timedelta(seconds=3 + number), now)
    for line in lines:
        _refs(rows, chance, line, now)
    rows.end()


def analyse() -> None:
    """Tell the planner what is there now, as autovacuum would in a while; only the tables' owner may."""
    with rights.as_owner(connection) as (owner, _role), owner.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


# ---- applications and people -----------------------------------------------------------------------


def _line(rows: Rows, chance: random.Random, number: int, now: datetime) -> Line:
    name = f"{PREFIX}{FRUITS[number % len(FRUITS)]}-{number:04d}"
    application = Application(
        name=name,
        repository=f"{HOST}{name}.git",
        stack=settings.DEFAULT_STACK if number % 9 else "python3.13-asgi",
        created_at=now - YEARS - timedelta(days=1),
        refs_asked_at=now - timedelta(minutes=number),
        refs_read_at=now - timedelta(minutes=number) + timedelta(seconds=2),
        refs_error="" if number % 97 else "The host was not found; check the address in the settings.",
    )
    wanted = {"flask"} if chance.random() < 0.6 else {"django"}
    wanted |= set(chance.sample(LIBRARIES, 9))
    return Line(rows.add(application), {package: _version(chance) for package in sorted(wanted)})


def _version(chance: random.Random) -> str:
    return f"{chance.randint(1, 3)}.{chance.randint(0, 9)}.{chance.randint(0, 4)}"


def _people(rows: Rows, now: datetime) -> Iterator[User]:
    """They cannot sign in."""
    for short, first, last in PEOPLE:
        user = User(username=f"{PREFIX}{short}", first_name=first, last_name=last, is_active=False, date_joined=now)
        user.set_unusable_password()
        yield rows.add(user)


def _turns(chance: random.Random, lines: list[Line], builds: int) -> Iterable[Line]:
    """Which application each build is of: few have thousands, most have dozens."""
    weights = [(place + 1) ** -0.6 for place in range(len(lines))]
    return chance.choices(lines, weights, k=builds) if lines else []


# ---- builds ----------------------------------------------------------------------------------------


def _asked(line: Line, person: User | None, at: datetime, **facts: Any) -> Build:
    """What every build has, whatever becomes of it."""
    application = line.row
    line.built += 1
    frozen = {name: getattr(application, name) for name in ("repository", "directory", "module", "callable", "stack")}
    frozen |= {name: getattr(application, name) for name in ("requirements", "probe_path", "probe_policy")}
    given = {
        "number": line.built,
        "requested_by": person,
        "created_at": at,
        "started_at": at + timedelta(seconds=0.3),
        "limits": LIMITS,
        "attempt": 1,
        "worker": "invented-forge-1",
        "stack_digest": sha256(application.stack),
        "builder_image": f"sha256:{sha256('builder')}",
        "runner_image": f"sha256:{sha256('runner')}",
        **facts,
    }
    return Build(application=application, **frozen, **given)


def _of_next_tag(line: Line, chance: random.Random) -> dict[str, Any]:
    """The ref and commit of a build, of a new tag for the most part."""
    if chance.random() >= OF_A_BRANCH:
        line.tagged += 1
        name, kind, folder = f"v{line.tagged // 50}.{line.tagged % 50}.0", RefKindChoices.TAG, "tags"
    else:
        name, kind, folder = "main", RefKindChoices.BRANCH, "heads"
    made = commit(f"{line.row.name} {line.built}")
    subject = f"Invented change {line.built}"
    return {"ref": name, "ref_kind": kind, "ref_full": f"refs/{folder}/{name}", "commit": made, "subject": subject}


def _same(release: Build, kind: str) -> dict[str, Any]:
    """What a rebuild or a rebase takes over."""
    names = ("ref", "ref_kind", "ref_full", "commit", "subject")
    return {kind: release, **{name: getattr(release, name) for name in names}}


def _finished(rows: Rows, chance: random.Random, line: Line, person: User | None, at: datetime) -> None:
    fate, release = chance.random(), line.release
    kind = "retry_of" if fate < AGAIN else "rebase_of" if fate < AGAIN + REBASED else ""
    what = _same(release, kind) if release and kind else _of_next_tag(line, chance)
    build = _asked(line, person, at, **what)
    succeeds = bool(release and kind) or chance.random() < SUCCEEDING
    pace = chance.uniform(0.6, 1.8)
    build.state, build.message = State.FINISHED, MESSAGE
    build.outcome = Outcome.SUCCEEDED if succeeds else chance.choice(ENDS)
    rows.add(build)
    spent = _steps(rows, build, pace, len(SECONDS) if succeeds else chance.randint(1, 2))
    build.finished_at = at + timedelta(seconds=0.5 + spent)
    if succeeds:
        _made(rows, chance, line, build, release if kind else None)
        _remember_ref(line, build)
        line.release = build
    _events(rows, build, person)


def _steps(rows: Rows, build: Build, pace: float, count: int) -> float:
    """The steps that ran; the last of a build that did not succeed failed. Seconds in all."""
    spent = 0.0
    for place, (name, usual) in enumerate(list(SECONDS.items())[:count]):
        took = usual * pace
        result = "failed" if place == count - 1 and not build.succeeded else "succeeded"
        began = build.created_at + timedelta(seconds=0.3 + spent)
        step = Step(build=build, position=place, name=name, result=result, started_at=began, seconds=round(took, 3))
        step.finished_at = began + timedelta(seconds=took)
        rows.add(step)
        spent += took
    return spent


def _made(rows: Rows, chance: random.Random, line: Line, build: Build, same: Build | None) -> None:
    """Environment, archive, image, probe and packages of a release; `same` is the release whose bytes it has again."""
    if line.environment is None or (same is None and chance.random() < NEW_ENVIRONMENT):
        line.packages[chance.choice(sorted(line.packages))] = _version(chance)
        line.environment = rows.add(_environment(line, build))
    build.kept_environment = line.environment
    artifact = same.artifact if same else None
    if artifact is None:
        digest, size = sha256(f"{build.application.name} {build.commit}"), 3_000_000 + 1000 * chance.randint(0, 900)
        artifact = rows.add(Artifact(sha256=digest, size=size, created_at=build.created_at))
    seed = f"image {artifact.sha256}" + (f" {build.number}" if build.rebase_of else "")
    build.artifact = artifact
    build.image = rows.add(
        Image(
            image_id=f"sha256:{sha256(seed)}",
            tag=f"release-portal/{build.application.name}:{build.number}",
            size=38_000_000 + artifact.size + 500 * build.number,
            builder_size=400_600_000,
            runner_size=35_500_000,
            artifact=artifact,
            created_at=build.created_at,
        )
    )
    build.probe_status, build.probe_seconds, build.probe_memory = 200, 0.9, 34_000_000
    build.probe_message, build.probe_body = "GET / answered 200 in 0.9 s.", "Invented"
    for name, version in line.packages.items():
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        rows.add(Package(build=build, name=name, version=version, sha256=sha256(file), filename=file))


def _environment(line: Line, build: Build) -> Environment:
    locked = [
        {"name": name, "version": version, "sha256": sha256(f"{name} {version}"), "filename": "", "source": "wheel"}
        for name, version in line.packages.items()
    ]
    return Environment(
        application=line.row,
        made_by=build,
        inputs=sha256(f"inputs {build.commit}"),
        key=sha256(f"environment {build.commit}"),
        stack=build.stack,
        stack_digest=build.stack_digest,
        builder_image=build.builder_image,
        python="3.13.5",
        installer="uv",
        is_reproducible=True,
        packages=locked,
        created_at=build.created_at,
    )


def _at_work(rows: Rows, line: Line, person: User | None, at: datetime, now: datetime) -> None:
    """A build that some worker seems to hold; the sweeper closes it when its day is over."""
    ref, made = "main", commit(f"{line.row.name} at work")
    build = _asked(line, person, at, ref=ref, ref_kind="branch", ref_full="refs/heads/main", commit=made)
    build.state, build.lease_until = State.PRODUCING, now + timedelta(days=1)
    rows.add(build)
    rows.add(Step(build=build, position=0, name=StepName.PRODUCE, started_at=at + timedelta(seconds=0.4)))
    _events(rows, build, person)


def _events(rows: Rows, build: Build, person: User | None) -> None:
    made = ("artifact.kept", "image.made") if build.succeeded else ()
    ended = build.finished_at or build.created_at + timedelta(seconds=0.3)
    for verb in ("build.requested", "build.started", *made, *(("build.finished",) if build.is_finished else ())):
        asked = verb == "build.requested"
        facts: dict[str, Any] = {
            "build.started": {"worker": build.worker, "attempt": build.attempt},
            "build.finished": {"outcome": str(build.outcome), "message": build.message},
        }
        rows.add(
            Event(
                at=build.created_at if asked else ended,
                actor=person if asked else None,
                actor_name=person.username if asked and person else "",
                verb=verb,
                application=build.application,
                build=build,
                data={"invented": True, **facts.get(verb, {})},
            )
        )


# ---- refs ------------------------------------------------------------------------------------------


def _remember_ref(line: Line, build: Build) -> None:
    if build.ref_kind == RefKindChoices.TAG and (not line.refs or line.refs[-1].name != build.ref):
        line.refs.append(_ref(line, build.ref_kind, build.ref, build.commit, build.created_at))


def _ref(line: Line, kind: str, name: str, made: str, at: datetime) -> Ref:
    folder = "tags" if kind == RefKindChoices.TAG else "heads"
    return Ref(
        application=line.row,
        kind=kind,
        name=name,
        full_name=f"refs/{folder}/{name}",
        commit=made,
        committed_at=at,
        first_seen_at=at,
        subject="Invented change",
        annotated=True,
    )


def _refs(rows: Rows, chance: random.Random, line: Line, now: datetime) -> None:
    """The tags that were built, some newer ones that nobody has built, and branches; here and there a moved tag."""
    known = {ref.name: ref for ref in line.refs}
    for place in range(chance.choice((0, 0, 1, 2))):
        name = f"v9.{place}.0"
        known[name] = _ref(line, RefKindChoices.TAG, name, commit(f"{line.row.name} {name}"), now)
    for name in ("main", "develop", "feature/fruit"):
        known[name] = _ref(line, RefKindChoices.BRANCH, name, commit(f"{line.row.name} {name}"), now)
    if line.refs and chance.random() < 0.01:
        moved = line.refs[-1]
        moved.moved_at, moved.moved_from, moved.commit = now, moved.commit, commit(f"{line.row.name} moved")
    for ref in known.values():
        rows.add(ref)
