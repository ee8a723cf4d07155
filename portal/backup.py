"""A backup is a folder: a dump of the database, kept files, logs, keys, and a list of all of them with their sha256.

The dump is made first: files are kept before a row names them, so whatever the dump names is there when the files are
copied. What is restored is first held against the list, and then against its own records.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

import portal
from portal.setup import SetupFailed, postgres
from releases.audit import chain
from releases.errors import say
from releases.storage import Blobs

FORMAT = 1
DUMP, LIST = "database.dump", "backup.json"
KEYS = ("instance", "secret_key", "audit_key", "audit-checkpoints.jsonl", "secrets_key", "known_hosts")
"""Small files of the data folder without which a restored portal would be another one. A key of the secrets that lies
elsewhere stays there: such a backup opens none of them."""
CHUNK = 1024 * 1024


def make(folder: Path) -> dict[str, Any]:
    """Back up to a folder that does not exist yet; the list of what is in it. Raises `SetupFailed`.

    `damaged` in the list names kept files that are not what they should be: they are left out."""
    if folder.exists():
        raise SetupFailed(say("%(path)s exists already: name a folder that does not.", path=str(folder)))
    draft = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(mode=0o700, parents=True)
        made = _fill(draft)
        draft.rename(folder)
    except OSError as error:
        raise SetupFailed(_unwritable(folder, error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return made


def _fill(draft: Path) -> dict[str, Any]:
    position, hash_ = chain.head()
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={draft / DUMP}")
    files = {DUMP: _described(draft / DUMP)}
    damaged = []
    blobs = Blobs(settings.BLOBS_DIR)
    for digest in blobs.digests():
        target = Path("blobs", "sha256", digest[:2], digest)
        files[str(target)] = _copy(blobs.path(digest), draft / target)
        if files[str(target)]["sha256"] != digest:
            damaged.append(digest)
            (draft / target).unlink()
            del files[str(target)]
    for source, target in _others():
        files[str(target)] = _copy(source, draft / target)
    made = {
        "format": FORMAT,
        "portal": portal.__version__,
        "instance": settings.PORTAL_INSTANCE,
        "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "head": {"position": position, "hash": hash_},
        "damaged": damaged,
        "files": files,
    }
    (draft / LIST).write_text(json.dumps(made, indent=1))
    return made


def _others() -> Iterator[tuple[Path, Path]]:
    """Logs and keys: where they lie, and where in the backup."""
    for log in sorted(settings.LOGS_DIR.rglob("*.log")):
        yield log, Path("logs") / log.relative_to(settings.LOGS_DIR)
    places = {"audit_key": settings.AUDIT_KEY, "audit-checkpoints.jsonl": settings.AUDIT_CHECKPOINTS}
    for name in KEYS:
        source = places.get(name, settings.PORTAL_HOME / name)
        if source.is_file():
            yield source, Path("keys") / name


# ---- and back -----------------------------------------------------------------------------------------------


def read(folder: Path) -> dict[str, Any]:
    """The list of a backup, once every file in it is what the list says. Raises `SetupFailed` naming the first that is
    not; nothing has been touched then."""
    try:
        listed = json.loads((folder / LIST).read_text())
        files = dict(listed["files"])
        if listed["format"] != FORMAT:
            raise SetupFailed(
                say("%(path)s is a backup of another form (%(form)s): use the portal that made it.",
                    path=str(folder), form=str(listed["format"]))
            )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupFailed(
            say("%(path)s is no backup of the portal: it has no sound backup.json.", path=str(folder))
        ) from error
    for name, facts in files.items():
        if name != DUMP:
            _place(name)
        try:
            found = _described(folder / name)
        except OSError as error:
            raise SetupFailed(say("%(name)s is missing in the backup: nothing was restored.", name=name)) from error
        if found != facts:
            raise SetupFailed(say("%(name)s in the backup is not what was backed up: nothing was restored.", name=name))
    return dict(listed)


def restore(folder: Path, listed: dict[str, Any]) -> None:
    """Put a backup that was `read` into an empty database and an empty data folder. Raises `SetupFailed`.

    The database must answer. The tables are those of the portal that made the backup: migrate afterwards."""
    _check_empty()
    try:
        for name in listed["files"]:
            if name != DUMP:
                _copy(folder / name, _place(name))
    except OSError as error:
        raise SetupFailed(_unwritable(settings.PORTAL_HOME, error)) from error
    rules = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--clean", "--if-exists")
    _run("pg_restore", *rules, f"--dbname={settings.DATABASE_OWNER_URL}", str(folder / DUMP), database=False)


def _place(name: str) -> Path:
    """Where a file of the backup belongs; no name in a list leads out of the data folder."""
    first, _, rest = name.partition("/")
    root = {"blobs": settings.BLOBS_DIR, "logs": settings.LOGS_DIR, "keys": settings.PORTAL_HOME}.get(first)
    if root is None or not rest or ".." in Path(rest).parts or Path(rest).is_absolute():
        raise SetupFailed(say("The backup's list names a file that belongs to no portal: %(name)s.", name=name))
    places = {"audit_key": settings.AUDIT_KEY, "audit-checkpoints.jsonl": settings.AUDIT_CHECKPOINTS}
    return Path(places[rest]) if first == "keys" and rest in places else Path(root / rest)


def _check_empty() -> None:
    """Nothing that somebody made is overwritten: neither rows nor kept files."""
    with psycopg.connect(settings.DATABASE_OWNER_URL) as connection:
        if connection.execute("SELECT to_regclass('releases_application')").fetchone() != (None,):
            found = connection.execute("SELECT count(*) FROM releases_application").fetchone()
            if found and found[0]:
                raise SetupFailed(
                    say("The database holds %(n)s applications already: restore into an empty one.", n=found[0])
                )
    if next(iter(Blobs(settings.BLOBS_DIR).digests()), None) is not None:
        raise SetupFailed(
            say("%(path)s holds kept files already: restore into an empty data folder.", path=str(settings.BLOBS_DIR))
        )


# ---- files and programs -------------------------------------------------------------------------------------


def _copy(source: Path, target: Path) -> dict[str, Any]:
    """Copy with its mode, flushed to the disk; what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    draft = target.with_name(f".{target.name}.partial")
    with source.open("rb") as reading, draft.open("wb") as writing:
        os.fchmod(writing.fileno(), source.stat().st_mode & 0o777)
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
        size = writing.tell()
    draft.replace(target)
    return {"sha256": digest.hexdigest(), "size": size}


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size": path.stat().st_size}


def _run(program: str, *options: str, database: bool = True) -> None:
    """A program of PostgreSQL's; its last line is the sentence when it fails."""
    command = [str(postgres.client(program)), *options, *([settings.DATABASE_URL] if database else [])]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        words = (done.stderr.strip() or "it said nothing").splitlines()[0]
        raise SetupFailed(say("%(program)s failed: %(words)s", program=program, words=words))


def _unwritable(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return say("No space is left for %(path)s: free some and try again.", path=str(path))
    return say("%(path)s cannot be written: %(reason)s.", path=str(path), reason=error.strerror or str(error))
