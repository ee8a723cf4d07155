"""What is there when all is over, held against what there should be. Each question answers with what is wrong."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.portal import RunningPortal, docker
from tests.soak.asking import REFS, Answers, Asker
from tests.soak.watching import Watch

SETTLE_SECONDS = 240.0
TIDY_SECONDS = 60.0
TWO_DAYS = 2 * 86400.0
CASUALTIES = {"worker": 1, "work-horse": 1, "worker and work-horse": 1, "builder's container": 1, "PostgreSQL": 2}
"""How many builds one kill may end; no other kind may end any."""
BUILDS = (
    "SELECT b.id, a.name, b.number, b.state, b.outcome, b.message, f.sha256, f.size, i.tag FROM releases_build b "
    "JOIN releases_application a ON a.id = b.application_id LEFT JOIN releases_artifact f ON f.id = b.artifact_id "
    "LEFT JOIN releases_image i ON i.id = b.image_id ORDER BY b.id"
)


@dataclass(slots=True)
class Reckoning:
    """Questions with what fell short of them, and remarks that are no fault."""

    short: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not any(self.short.values())


def settle(portal: RunningPortal) -> None:
    """Wait until every build is over, if they will be."""
    _until(lambda: not portal.sql("SELECT 1 FROM releases_build WHERE state <> 'finished'"), SETTLE_SECONDS)


def reckon(portal: RunningPortal, asker: Asker, watch: Watch, kills: Mapping[str, int]) -> Reckoning:
    """Everything, once no kill comes any more. The portal must be running."""
    rows = portal.sql(BUILDS)
    found = Reckoning()
    found.short["ended badly, more than the kills explain"] = _unexplained(rows, kills)
    found.short["acknowledged, and there is no such build"] = _lost(rows, asker.answers)
    found.short["not over, long after the last kill"] = [_name(row) for row in rows if row["state"] != "finished"]
    found.short["no rebuild succeeds"] = _rebuilt(portal, asker)
    watch.stop()
    stuck = watch.stuck.items()
    found.short["said for over 60 s that it is worked on"] = [f"{name} {seconds:.0f} s" for name, seconds in stuck]
    found.short["pages that answered 500"] = asker.answers.broken
    rows = portal.sql(BUILDS)
    found.short["log without the build's end"] = [_name(row) for row in rows if not _log_ends(portal, row)]
    _reckon_files(portal, rows, found)
    _reckon_engine(portal, rows, watch, found)
    found.short["audit trail"] = _refused(portal, "audit", "verify")
    longest = max(watch.lies.values(), default=0.0)
    found.remarks.append(
        f"the longest that a build said what was not so: {longest:.0f} s; no rows: {watch.unseen:.0f} s"
    )
    return found


def _lost(rows: list[dict[str, Any]], answers: Answers) -> list[str]:
    there = {(row["name"], row["number"]) for row in rows}
    return [f"{name} #{number}" for name, number in sorted(answers.acknowledged - there)]


def _unexplained(rows: list[dict[str, Any]], kills: Mapping[str, int]) -> list[str]:
    """Those that did not succeed, when they are more than were under the kills."""
    bad = [f"{_name(row)} {row['outcome']}: {row['message']}" for row in rows if row["outcome"] != "succeeded"]
    return bad if len(bad) > sum(CASUALTIES.get(kind, 0) * times for kind, times in kills.items()) else []


def _rebuilt(portal: RunningPortal, asker: Asker) -> list[str]:
    """The newest build of each application once more, without what is kept."""
    failed = []
    for name in REFS:
        last = portal.numbers(name)
        number = last and asker.ask(name, f"/applications/{name}/builds/{last[0]}/rebuild/", without_cache="on")
        if not number:
            failed.append(f"{name} could not be asked for")
            continue
        _until(lambda name=name, number=number: portal.build(name, number)["state"] == "finished", SETTLE_SECONDS)  # type: ignore[misc]
        row = portal.build(name, number)
        if row["outcome"] != "succeeded":
            failed.append(f"{name} #{number}: {row['outcome'] or row['state']}, {row['message']}")
    return failed


def _log_ends(portal: RunningPortal, row: dict[str, Any]) -> bool:
    """A build that nobody took up has no log; every other tells its end."""
    log = portal.log(row).rstrip("\n")
    return log.endswith(row["message"].rstrip("\n")) if log else row["outcome"] == "cancelled"


# ---- files -----------------------------------------------------------------------------------------------


def _reckon_files(portal: RunningPortal, rows: list[dict[str, Any]], found: Reckoning) -> None:
    store = portal.home / "blobs"
    kept = {path.name: path for path in (store / "sha256").rglob("*") if path.is_file()}
    found.short["kept file that is not what its name says"] = [
        name for name, path in kept.items() if _sum(path) != name
    ]
    artifacts = {row["sha256"]: row["size"] for row in rows if row["sha256"]}
    found.short["release without its bytes"] = [
        sha256 for sha256, size in artifacts.items() if sha256 not in kept or kept[sha256].stat().st_size != size
    ]
    waiting = [*kept.values(), *(store / "tmp").glob("*")]
    _age(waiting)
    before = len(waiting)
    found.short["the sweeper's own round"] = _refused(portal, "sweep", "--once")
    left = [path for path in waiting if path.exists()]
    found.remarks.append(f"files of killed builds that the sweeper removed when they were old: {before - len(left)}")
    recorded = _recorded(portal)
    found.short["kept file without a record"] = [
        path.name for path in left if path.name in kept and path.name not in recorded
    ]
    found.short["half-written file"] = [
        str(path.relative_to(portal.home))
        for pattern in ("blobs/tmp/*", "**/*.part", "**/tmp_pack_*", "**/tmp_obj_*", "mirrors/*/**/*.lock")
        for path in portal.home.glob(pattern)
    ]


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _age(files: list[Path]) -> None:
    """As if two days had gone by: what nobody needs goes only when it is old."""
    old = time.time() - TWO_DAYS
    for path in files:
        os.utime(path, (old, old))


def _recorded(portal: RunningPortal) -> set[str]:
    """Every digest that a row names, asked apart from how the sweeper asks."""
    queries = (
        "SELECT sha256 AS digest FROM releases_artifact",
        "SELECT part->>'sha256' AS digest FROM releases_environment, jsonb_array_elements(parts) part",
        "SELECT runner_layer AS digest FROM releases_image",
    )
    return {row["digest"] for query in queries for row in portal.sql(query)}


# ---- the engine ------------------------------------------------------------------------------------------


def _reckon_engine(portal: RunningPortal, rows: list[dict[str, Any]], watch: Watch, found: Reckoning) -> None:
    _until(lambda: not portal.containers(), TIDY_SECONDS)
    found.short["container left behind"] = portal.containers()
    there = set(docker("volume", "ls", "--quiet").split())
    found.short["volume left behind"] = sorted(watch.volumes & there)
    label = f"label=release-portal.instance={portal.instance}"
    networks = docker("network", "ls", "--filter", label, "--filter", "label=release-portal.build", "--quiet")
    found.short["network left behind"] = networks.split()
    own = f"release-portal-{portal.instance}/*"
    listed = docker("images", "--filter", f"reference={own}", "--format", "{{.Repository}}:{{.Tag}}").split()
    tags = {row["tag"] for row in rows if row["tag"]}
    found.short["release without its image"] = sorted(tags - set(listed))
    found.short["image without a record"] = [tag for tag in listed if tag not in tags and ":environment-" not in tag]


def _refused(portal: RunningPortal, *command: str) -> list[str]:
    done = portal.manage(*command)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()[-500:]]


def _name(row: dict[str, Any]) -> str:
    return f"{row['name']} #{row['number']}"


def _until(met: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not met() and time.monotonic() < end:
        time.sleep(0.5)


def told(found: Reckoning) -> str:
    """The table: 0 or how much, and then what."""
    lines = [f"{len(what):>5}  {question}" for question, what in found.short.items()]
    details = [f"       {question}: {', '.join(what[:5])}" for question, what in found.short.items() if what]
    return "\n".join([*lines, *details, *(f"       ({remark})" for remark in found.remarks)])
