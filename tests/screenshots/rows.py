"""The rows that the pictures show: an invented shop at one invented moment, the same in each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import django_rq
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import F
from django.utils import timezone
from rq import Worker
from rq.utils import utcformat

from releases.errors import Sentence, say
from releases.git import place_of
from releases.models import (
    Application,
    Build,
    Credential,
    Environment,
    Outcome,
    Preparation,
    Preview,
    Ref,
    Step,
    Workshop,
)
from releases.specs import CommitFacts, FileChange, StackImages
from releases.stacks import stack as stacks
from releases.storage import LogWriter, log_path, preview_log_path
from tests import factories

MOMENT = datetime(2026, 3, 17, 10, 42, tzinfo=UTC)
"""When every picture is taken."""
STACK = "python3.13-uwsgi"
SUBJECTS = (
    "Sort fruit by season", "Show the price per kilo", "Answer /health", "Use Flask 3.1", "Round prices once",
    "Tell what is sold out", "Read the name from SHOP_NAME", "Bring the pears back", "Sell by the crate",
)  # fmt: skip
PACKAGES = {
    "blinker": ("1.9.0", 62_000), "click": ("8.3.1", 871_000), "flask": ("3.1.3", 934_000),
    "itsdangerous": ("2.2.0", 148_000), "jinja2": ("3.1.6", 1_352_000), "markupsafe": ("3.0.3", 84_000),
    "werkzeug": ("3.1.5", 2_118_000),
}  # fmt: skip
"""Version and unpacked bytes of what each release holds."""
LATER = {"babel": (4, "2.17.0", 1_940_000), "segno": (9, "1.6.6", 384_000)}
"""What releases hold from one on: its number, version and bytes."""
RUNTIME, BARE = 36_100_000, 1_104_000
"""Bytes of an image without an application, and of an environment without packages."""
BUILDER = "Builder d308825c21e8 with uv, user 10001:10001, 2 CPUs, 1024 MiB, 256 processes, read-only root"
TRIED = (BUILDER, "$ uv pip compile requirements.txt")
MADE = (*TRIED, "$ uv pip install 2 of 7 packages", "The environment is ready: 3 parts.")


def make() -> User:
    """All rows, and the person who looks at them."""
    marta = factories.user(username="marta", first_name="Marta", last_name="Ruiz")
    orchard = factories.application("orchard", created_by=marta)
    for number in (1, 2, 3):
        _release(orchard, number, marta, source=17_000_000)
    shop = factories.application("fruit-shop", environment={"SHOP_NAME": "Fruit Shop"}, created_by=marta)
    releases = [_release(shop, number, marta) for number in range(1, 10)]
    failed = _failed(shop, marta)
    _compared(releases[-2], releases[-1], failed)
    _running(shop, marta)
    factories.ref(shop, "v1.9.0", age=timedelta(minutes=50), subject="Weigh before the till")
    factories.ref(shop, "main", kind="branch", age=timedelta(minutes=12), subject="Try a darker green")
    _moved(shop)
    token = {"kind": "token", "account": "release-portal", "place": place_of(shop.repository), "sealed": "gAAAA"}
    Credential.objects.create(application=shop, set_by=marta, **token)
    _preview(releases[-1], marta)
    factories.application("juice-bar", created_by=marta).note_refs_error(
        say("There is no git repository at %(url)s: check the address.", url="https://git.example.org/shop/juice-bar")
    )
    _prepared()
    Workshop.objects.report(
        engine_answers=True, engine="Docker 28.3.2, overlay2", engine_problem="", disk_free=212_000_000_000,
        disk_total=480_000_000_000, repaired=0,
    )  # fmt: skip
    return marta


def listen() -> None:
    """Workers that are heard of, as the queue knows them; none of them works."""
    for place, name in enumerate(("builds", "desk")):
        queue = django_rq.get_queue(name)
        worker = Worker([queue], name=f"{name}-1.forge", connection=queue.connection)
        worker.register_birth()  # type: ignore[no-untyped-call] # rq says none
        heard = {"birth": MOMENT - timedelta(hours=5), "last_heartbeat": MOMENT - timedelta(seconds=3 + place)}
        queue.connection.hset(worker.key, mapping={field: utcformat(at) for field, at in heard.items()})


def freeze() -> None:
    """Move every time so that the rows were made at `MOMENT`, and let it be that moment from now on."""
    back = MOMENT - timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # records are kept by triggers otherwise
        for model in apps.get_app_config("releases").get_models():
            times = [field.name for field in model._meta.fields if isinstance(field, models.DateTimeField)]
            if times:
                model._default_manager.update(**{name: F(name) + back for name in times})
        for app in Application.objects.all():
            _date_builds(app)
        _date_others()
        cursor.execute("SET session_replication_role = DEFAULT")
    timezone.now = lambda: MOMENT


def _date_builds(app: Application) -> None:
    """The newest was asked for seconds ago, the one before minutes, each other two days before the next; what was made
    first, weeks before."""
    newest = app.builds.count()
    before = timedelta(days=0 if app.name == "fruit-shop" else 24)
    for build in app.builds.prefetch_related("steps"):
        since = newest - build.number
        asked = MOMENT - before - timedelta(days=2 * max(0, since - 1), minutes=14 * since, seconds=7)
        at = started = asked + timedelta(seconds=0.4)
        for step in build.steps.order_by("position"):
            ended = at + timedelta(seconds=step.seconds or 0)
            build.steps.filter(pk=step.pk).update(started_at=at, finished_at=ended if step.finished_at else None)
            at = ended
        ended = at + timedelta(seconds=0.2 + build.number / 10)
        finished = ended if build.is_finished else None
        Build.objects.filter(pk=build.pk).update(created_at=asked, started_at=started, finished_at=finished)
        for place, event in enumerate(build.events.order_by("id")):
            build.events.filter(pk=event.pk).update(at=asked + timedelta(seconds=place))


def _date_others() -> None:
    started = MOMENT - timedelta(minutes=3)
    Preview.objects.update(created_at=started, started_at=started, ends_at=started + timedelta(minutes=30))
    made = MOMENT - timedelta(days=6, hours=2)
    Preparation.objects.update(created_at=made, started_at=made, finished_at=made + timedelta(seconds=74))
    Environment.objects.update(created_at=MOMENT - timedelta(days=8))
    Workshop.objects.update(seen_at=MOMENT - timedelta(seconds=9))
    Application.objects.update(created_at=MOMENT - timedelta(days=40))
    Application.objects.filter(refs_error="").update(
        refs_asked_at=MOMENT - timedelta(minutes=9, seconds=1), refs_read_at=MOMENT - timedelta(minutes=9)
    )
    Application.objects.exclude(refs_error="").update(refs_read_at=MOMENT - timedelta(hours=1, minutes=1))


def _release(app: Application, number: int, by: User, *, source: int = 20_000) -> Build:
    """One with so many bytes of its own, and some more in each."""
    tag = factories.ref(
        app, f"v1.{number - 1}.0", age=timedelta(days=2 * (10 - number), hours=1), subject=SUBJECTS[number - 1]
    )
    later = {name: (version, size) for name, (since, version, size) in LATER.items() if number >= since}
    held = PACKAGES | later
    sizes = {"environment": BARE, **{f"{name}-{version}": size for name, (version, size) in held.items()}}
    own = source + 61_000 * number
    packed = (sum(sizes.values()) + own) // 3
    weighed = {
        "size": packed,
        "members": [{"name": n, "size": size // 3, "unpacked": size} for n, size in {**sizes, "source": own}.items()],
        "sheets": [
            {"diff_id": factories.sha256("environment"), "size": sum(sizes.values()), "members": [*range(len(sizes))]},
            {"diff_id": factories.sha256(f"source {number}"), "size": own, "members": [len(sizes)]},
        ],
    }
    build = factories.succeeded_build(
        app, ref=tag, by=by, size=RUNTIME + sum(sizes.values()) + own, runner="trixie", weighed=weighed,
        packages={name: version for name, (version, _size) in held.items()},
        builder_image=factories.image_id("builder"), base_image=factories.image_id("base"),
    )  # fmt: skip
    _log(build, _told(build, len(sizes)), f"Succeeded: app.tar.gz {packed / 1e6:.1f} MB")
    return build


def _told(build: Build, parts: int) -> dict[str, Sequence[str]]:
    """What the log of a release says in each step."""
    assert build.artifact is not None
    assert build.image is not None
    return {
        "checkout": _checkout(build),
        "produce": (
            *MADE,
            f"Environment {factories.sha256('environment')[:12]}: 2 parts made, {parts - 2} kept from before",
        ),
        "collect": (f"app.tar.gz: {build.artifact.size:,} bytes", f"sha256 {build.artifact.sha256}"),
        "package": (
            f"Image {build.image.image_id}, {build.image.size:,} bytes in 3 layers; only what is new was sent",
        ),
        "probe": ("Container started, asking GET /", "GET / answered 200 OK after 0.96 s."),
    }


def _checkout(build: Build) -> Sequence[str]:
    return (
        f"{build.ref} is commit {build.commit}, as it was when this build was asked for",
        "6 files, 14,812 bytes, from the mirror", "The contract is kept: requirements.txt, app/, app:app",
    )  # fmt: skip


def _failed(app: Application, by: User) -> Build:
    why: Sentence = say(
        "The requirements in %(file)s cannot be met: %(why)s",
        file="requirements.txt",
        why="No solution found: flask==3.1.9 does not exist; newest is 3.1.3",
    )
    tag = factories.ref(app, "v1.8.1", age=timedelta(hours=2), subject="Use the Flask of tomorrow")
    build = factories.running_build(app, ref=tag, by=by)
    _step(build, "checkout", 0.41)
    _step(build, "produce", 1.9, "failed")
    build.mark_ended(Outcome.FAILED, why)
    refused = "error: No solution found: flask==3.1.9 does not exist; newest is 3.1.3"
    _log(build, {"checkout": _checkout(build), "produce": (*TRIED, refused)}, f"Failed: {why}")
    return build


def _compared(before: Build, last: Build, failed: Build) -> None:
    """What a worker has read of the repository, for the page that compares and for the one of the failed build."""
    when = int(MOMENT.timestamp())
    come = (
        CommitFacts(last.commit, "Marta Ruiz", when - 200_000, last.subject),
        CommitFacts(factories.commit("crate"), "Iker Sanz", when - 260_000, "Count crates, not fruits"),
    )
    files = (
        FileChange("app/prices.py", "changed", 1_840, 2_112),
        FileChange("app/templates/crate.html", "added", 0, 731),
        FileChange("requirements.txt", "changed", 96, 110),
    )
    factories.comparison(before, last, factories.difference(2, 3, come=come, files=files))
    wanted = (CommitFacts(failed.commit, "Iker Sanz", when - 7_000, failed.subject),)
    asked = (FileChange("requirements.txt", "changed", 110, 110),)
    factories.comparison(last, failed, factories.difference(1, 1, come=wanted, files=asked))


def _running(app: Application, by: User) -> None:
    tag = factories.ref(app, "v1.8.2", age=timedelta(minutes=20), subject="Use the Flask of today")
    build = factories.running_build(app, ref=tag, by=by)
    _step(build, "checkout", 0.38)
    Step.objects.create(build=build, position=2, name="produce", started_at=timezone.now())
    _log(build, {"checkout": _checkout(build), "produce": MADE[:-1]}, "")


def _step(build: Build, name: str, seconds: float, result: str = "succeeded") -> None:
    began = timezone.now() - timedelta(seconds=8)
    Step.objects.create(
        build=build, position=1 if name == "checkout" else 2, name=name, result=result, started_at=began,
        finished_at=began + timedelta(seconds=seconds), seconds=seconds,
    )  # fmt: skip


def _moved(app: Application) -> None:
    factories.moved(Ref.objects.get(application=app, name="v1.2.0"))


def _preview(build: Build, by: User) -> None:
    preview = Preview.objects.create(pk=1, build=build, environment={"SHOP_NAME": "Fruit Shop"}, requested_by=by)
    preview.mark_running(
        address="http://127.0.0.1:32768", status=200, seconds=0.93, body="Welcome to the fruit shop",
        message=say(
            "GET %(path)s answered %(status)s %(reason)s after %(seconds).2f s.",
            path="/", status=200, reason="OK", seconds=0.93,
        ),
    )  # fmt: skip
    preview_log_path(preview.pk).parent.mkdir(parents=True, exist_ok=True)
    preview_log_path(preview.pk).write_text("0.41\t*** uWSGI is running ***\n0.93\t10.0.2.2 GET / => 200 in 2 ms\n")


def _prepared() -> None:
    row = Preparation.objects.request(STACK, stacks.load(STACK).digest, by=None)
    row.take_up()
    sizes = say("Builder %(builder).0f MB, runner %(runner).0f MB.", builder=388.0, runner=36.1)
    images = (factories.image_id("builder"), 388_014_592, factories.image_id("trixie"), RUNTIME, "")
    row.mark_succeeded(StackImages(*images, row.digest), sizes)


def _log(build: Build, told: Mapping[str, Sequence[str]], end: str) -> None:
    """What the worker wrote, with times that are the same in each run: a step's lines are spread over it."""
    took = dict(build.steps.values_list("name", "seconds"))
    times, began = [], 0.0
    with LogWriter(log_path(build.pk)) as log:
        for name, lines in told.items():
            seconds = took[name] or 1.2
            log.step(name)
            for line in lines:
                log.line(line)
            times += [began + seconds * place / (len(lines) + 1) for place in range(len(lines) + 1)]
            began += seconds
        if end:
            log.line(end)
            times.append(began)
    path = log_path(build.pk)
    written = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # splitlines would split at the mark of a step
    texts = [line.split("\t", 1)[1] for line in written]
    dated = zip(times, texts, strict=True)
    path.write_text("".join(f"{at:.2f}\t{text}\n" for at, text in dated), encoding="utf-8")
