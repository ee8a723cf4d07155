"""The whole of one bench, once it is known what is asked."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from portal.setup import base_image, engine, packages, redis_server
from tests.bench import figures, looking, record, table
from tests.bench.options import Options
from tests.bench.turns import workshop


def bench(options: Options, document: Path) -> int:
    """0 when all goals that were measured are met, else 1. Raises `BenchFailed` or `SetupFailed`."""
    if options.pages:
        return bench_pages(options, document)
    set_up(may_install=options.may_install)
    with workshop(options, settings.PORTAL_HOME, record.say) as prepared:
        measured = prepared.measure()
    rows = figures.rows(measured.turns)
    goals = figures.goals(rows, measured.turns)
    tables = table.text(rows, measured, goals)
    record.tell(options, tables, record.as_json(options, rows, measured, goals))
    if options.write_docs:
        record.write_docs(document, options, tables, record.machine())
    return 0 if all(goal.met for goal in goals) else 1


def bench_pages(options: Options, document: Path) -> int:
    """The same for the pages."""
    redis_server.ensure(may_install=options.may_install)
    looked = looking.look(options, settings.PORTAL_HOME, record.say)
    tables, machine = looking.text(looked), record.computer()
    record.tell(options, tables, looking.as_json(looked, machine))
    if options.write_docs:
        record.write_pages(document, tables, machine)
    return 0 if all(seen.is_met for seen in looked.seen) else 1


def set_up(*, may_install: bool) -> None:
    """What `./run` itself sets up, for the portal that is started here installs nothing."""
    packages.need("git", "to release from repositories", may_install=may_install)
    redis_server.ensure(may_install=may_install)
    engine.ensure(settings.DOCKER_HOST, may_install=may_install)
    packages.need("docker", "for the origin's commands", may_install=may_install)
    base_image.ensure(settings.DOCKER_HOST, may_install=may_install)
