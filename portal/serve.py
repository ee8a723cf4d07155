"""`./run`: everything that the portal needs, then the portal, until somebody asks for the end."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import django
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.db import connections

from portal import words
from portal.setup import SetupFailed, base_image, engine, packages, places, postgres, redis_server, say, web
from portal.supervisor import Service, Supervisor, kill_marked

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)
MANAGE = (sys.executable, str(settings.BASE_DIR / "manage.py"))


def serve(*, may_install: bool) -> int:
    """The whole life of one portal; the exit status."""
    home, mark = settings.PORTAL_HOME, str(settings.PORTAL_HOME)
    with places.locked(home):
        places.make_run_dir(settings.RUN_DIR)
        if left := kill_marked(mark, patience=3):
            say(f"Ended {left} processes that a killed portal had left behind.")
        places.check_port(settings.BIND, settings.PORT)
        web.shut()
        if guest := web.account():
            os.umask(0o022)  # what is made from now on is for its readers, too: the way there is closed to others
        missing = _workshop(may_install=may_install)
        as_json = settings.LOG_FORMAT == "json"
        with Supervisor(mark, drain_seconds=settings.DRAIN_SECONDS, as_json=as_json) as supervisor:
            _stores(supervisor, guest, may_install=may_install)
            _records()
            for service in _services(guest and web.let_in(guest)):
                supervisor.add(service)
            _announce(supervisor, missing)
            supervisor.run()
            say(
                "Stopping: what is being built is finished first, then previews are ended; Ctrl-C again waits for none."
            )
    say("Stopped, with its database and its queue. The container engine goes on: others may use it.")
    return 0


def restore(folder: Path) -> int:
    """Put a backup into an empty data folder, and hold it against its own records; the exit status."""
    home = settings.PORTAL_HOME
    django.setup()
    from portal import backup  # only now: it needs the models

    listed = backup.read(folder)
    with places.locked(home):
        places.make_run_dir(settings.RUN_DIR)
        with Supervisor(str(home), drain_seconds=0) as supervisor:
            if not settings.GIVEN_DATABASE_URL:
                supervisor.add(postgres.private_server(home, settings.RUN_DIR))
            _await_database(lambda: all(child.alive for child in supervisor.children))
            backup.restore(folder, listed)
            say(f"Restored {len(listed['files'])} files and the database of {listed['made_at']}; verifying.")
            # In a process of its own: the keys of the backup are this portal's from now on.
            codes = [
                subprocess.run([*MANAGE, *arguments], stdin=subprocess.DEVNULL, check=False).returncode
                for arguments in (("migrate", "--verbosity=0"), ("audit", "verify"), ("audit", "scrub"))
            ]
    if not any(codes):
        say("The portal is restored: ./run starts it.")
    return 1 if any(codes) else 0


def _workshop(*, may_install: bool) -> str:
    """git, the engine and the base images; what is missing is told, not fatal: the portal can still be looked at."""
    missing = []
    for program in ("git", "ssh") if "ssh" in settings.GIT_PROTOCOLS else ("git",):
        try:
            packages.need(program, "to read repositories", may_install=may_install)
        except SetupFailed as error:
            missing.append(str(error))
    try:
        engine.ensure(settings.DOCKER_HOST, may_install=may_install)
        base_image.ensure(settings.DOCKER_HOST, may_install=may_install)
    except SetupFailed as error:
        missing.append(str(error))
    for sentence in missing:
        say(sentence)
    return " ".join(missing)


def _stores(supervisor: Supervisor, guest: web.Account | None, *, may_install: bool) -> None:
    """PostgreSQL and Redis: the private ones are children like the others, on the lowest floor."""

    def nobody_died() -> bool:
        return not supervisor.stopping and all(child.alive for child in supervisor.children)

    if not settings.GIVEN_DATABASE_URL:
        guests = {guest.name: str(settings.DATABASES["default"]["USER"])} if guest else None
        supervisor.add(postgres.private_server(settings.PORTAL_HOME, settings.RUN_DIR, guests=guests))
    if not settings.GIVEN_REDIS_URL:
        redis_server.ensure(may_install=may_install)
        supervisor.add(redis_server.private_server(settings.PORTAL_HOME, settings.RUN_DIR, guarded=guest is not None))
    _await_database(nobody_died)
    redis_server.await_answer(settings.REDIS_URL, nobody_died)


def _await_database(alive: Callable[[], bool]) -> None:
    """Its owner makes what is missing; then the portal's own role must be let in."""
    postgres.await_answer(settings.DATABASE_OWNER_URL, alive)
    if not settings.GIVEN_DATABASE_URL:
        postgres.ensure_role(settings.DATABASE_OWNER_URL, settings.DATABASES["default"]["USER"])
    postgres.await_answer(settings.DATABASE_URL, alive)


def _records() -> None:
    """Tables, static files, the first people, the demo."""
    django.setup()
    from portal.setup import people  # only now: it needs the models
    from releases.errors import StorageError
    from releases.vault import keys

    try:
        call_command("migrate", interactive=False, verbosity=0)
    except CommandError as error:
        raise SetupFailed(str(error)) from error
    call_command("collectstatic", interactive=False, verbosity=0)
    _catalogues()
    people.ensure(admin_password=settings.ADMIN_PASSWORD, manager_password=settings.MANAGER_PASSWORD)
    connections.close_all()
    try:
        keys.make(settings.SECRETS_KEY)  # before the first secret comes: the web server's account could not
    except StorageError as error:
        say(f"{error} Private repositories cannot be given a key or a token until that is mended.")
    offered = settings.PORTAL_HOME / "demo-offered"
    if settings.DEMO and not offered.exists() and "demo" in get_commands():
        say("Registering the demo application, fruit-shop.")
        done = subprocess.run(
            [*MANAGE, "demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        for line in done.stdout.splitlines():
            say(line)
        if done.returncode == 0:
            offered.touch()


def _catalogues() -> None:
    """What the web server reads when it starts. Without it all is said in English, which is no reason not to start."""
    try:
        words.compile_catalogues()
    except OSError as error:
        say(f"{error.filename} cannot be written ({error.strerror}), so the pages speak English alone: allow it.")


def _services(guest: web.Account | None) -> Iterator[Service]:
    gunicorn = (
        *(sys.executable, "-m", "gunicorn", "portal.wsgi", "--chdir", str(settings.BASE_DIR)),
        *("--worker-class", "gthread", "--workers", str(settings.WEB_WORKERS), "--threads", "8", "--preload"),
        *("--timeout", "60", "--graceful-timeout", "10", "--no-control-socket"),
        *("--logger-class", "portal.weblog.WebLogger", "--log-level", "warning"),
    )
    if guest is None:
        yield Service(name="web", command=(*gunicorn, "--bind", _address()))
    else:
        yield Service(name="web", command=web.command(guest, gunicorn), environment=web.environment(guest))
    for number in range(1, settings.BUILD_WORKERS + 1):
        name = "builds" if settings.BUILD_WORKERS == 1 else f"builds-{number}"
        yield Service(name=name, command=(*MANAGE, "work", "builds"))
    yield Service(name="desk", command=(*MANAGE, "work", "desk"))
    # Below the workers: it watches over builds and previews while they drain, and removes what is left after them.
    yield Service(name="sweep", command=(*MANAGE, "sweep"), floor=1)


def _address() -> str:
    return f"[{settings.BIND}]:{settings.PORT}" if ":" in settings.BIND else f"{settings.BIND}:{settings.PORT}"


def _announce(supervisor: Supervisor, missing: str) -> None:
    """Say where the portal is when it takes work by its own word; or, when that lasts, what it waits for."""
    host = "localhost" if settings.BIND in EVERYWHERE else settings.BIND
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
    patience_ends = time.monotonic() + 10
    said = ""

    def ready() -> bool:
        nonlocal said
        status, words = health()
        if words != said and words and (missing or time.monotonic() > patience_ends):
            say(f"The portal can be looked at on {address}, but takes no work yet: {words}")
            said = words
        return status == 200

    supervisor.run(until=ready)
    if not supervisor.stopping:
        say(f"The portal is ready: {address}   (Ctrl-C stops it)")
        if missing:
            say(f"Not everything can be built yet, though: {missing}")


def health() -> tuple[int, str]:
    """The status of /healthz (0 while nobody answers) and what it says is missing."""
    host = EVERYWHERE.get(settings.BIND, settings.BIND)
    allowed = next(iter(settings.ALLOWED_HOSTS), "localhost").lstrip(".")
    headers = {"Host": "localhost" if allowed == "*" else allowed}
    if settings.HTTPS:
        headers["X-Forwarded-Proto"] = "https"
    connection = http.client.HTTPConnection(host, settings.PORT, timeout=5)
    try:
        connection.request("GET", "/healthz", headers=headers)
        answer = connection.getresponse()
        body = answer.read(64 * 1024)
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
    try:
        return answer.status, " ".join(json.loads(body)["problems"])
    except (ValueError, KeyError, TypeError):
        return answer.status, "" if answer.status == 200 else f"/healthz answers {answer.status} {answer.reason}."
