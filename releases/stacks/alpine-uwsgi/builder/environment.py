"""Resolves, and packs environments in parts: the half of build.sh that is easier said in Python. See docs/stacks.md.

    environment.py lock  REQUIREMENTS WORK        uv's lock → WORK/lock.json; ends with 20 when uv should not do it
    environment.py split WORK SHARED KNOWN        after uv: one part for each new wheel, and the bare environment
    environment.py whole SHARED REPORT            after pip: one part that holds everything

Nothing here imports what is installed. The same wheels give the same bytes: entries are sorted and have no owner, one
time and one of two modes, and .pyc files are checked by nothing (tools.sh compiles them so), or by that very time.

The same file lies in every stack's builder. Packing asks for Python 3.9 or newer, which need not be the application's;
resolving asks for the application's own with pip in /opt/pip.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

sys.path.append("/opt/pip")  # its parts are imported where they are needed: not every stack has this pip

APP = Path("/app")
ENV = APP / "env"
MOMENT = 315532800
DECLINED = 20
UV = ["uv", "--no-config", "--quiet", "--no-progress"]
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def decline(why: str) -> NoReturn:
    print(why, flush=True)
    sys.exit(DECLINED)


# ---- the lock --------------------------------------------------------------------------------------------


def lock(requirements: str, folder: str) -> None:
    """Resolve, and choose for each package the one wheel that fits this interpreter best."""
    from pip._vendor.packaging.tags import sys_tags

    source, work = Path(requirements), Path(folder)
    if source.name != "pyproject.toml" and starts_with_mark(source):
        decline("The requirements file is not plain UTF-8.")
    resolved = resolve(source, work)
    allowed = hashes_of(source)
    tags = {tag: rank for rank, tag in enumerate(sys_tags())}
    chosen = [choose(package, tags, allowed) for package in resolved.get("packages", [])]
    chosen.sort(key=lambda package: package["name"])
    work.joinpath("lock.json").write_text(json.dumps(chosen))
    work.joinpath("lock.txt").write_text(
        "".join(f"{one['name']}=={one['version']} --hash=sha256:{one['sha256']}\n" for one in chosen)
    )


def starts_with_mark(path: Path) -> bool:
    data = path.read_bytes()
    return any(data.startswith(mark) for mark, _ in MARKS)


def resolve(source: Path, work: Path) -> dict[str, Any]:
    """uv's answer as a pylock; whatever it cannot do is left to pip, whose errors people know."""
    import tomllib

    pylock = work / "pylock.toml"
    common = ["--cache-dir", str(work / "uv"), "--python", sys.executable]
    if (source.parent / "uv.lock").is_file() and source.name == "pyproject.toml":
        command = [*UV, "export", "--frozen", "--no-emit-project", "--no-default-groups", "--format", "pylock.toml",
                   "--project", str(source.parent), *common, "--output-file", str(pylock)]  # fmt: skip
    else:
        command = [*UV, "pip", "compile", str(source), "--format", "pylock.toml", "--only-binary", ":all:",
                   "--no-header", *common, "--output-file", str(pylock)]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=source.parent)
    if done.returncode:
        print(done.stdout.rstrip(), flush=True)
        decline("uv cannot resolve these requirements with wheels alone.")
    return tomllib.loads(pylock.read_text())


def hashes_of(source: Path) -> dict[str, set[str]]:
    """name → the sha256 that the requirement files allow; empty when they name none."""
    from pip._internal.network.session import PipSession
    from pip._internal.req.req_file import parse_requirements

    if source.name == "pyproject.toml":
        return {}
    allowed: dict[str, set[str]] = {}
    for requirement in parse_requirements(str(source), session=PipSession()):
        given = requirement.options.get("hashes", {}) if requirement.options else {}
        if given and not requirement.constraint:
            name = canonicalize_name(re.split(r"[^\w.-]", requirement.requirement.strip())[0])
            allowed.setdefault(name, set()).update(given.get("sha256", []))
    return allowed


def choose(package: dict[str, Any], tags: dict[Any, int], allowed: dict[str, set[str]]) -> dict[str, str]:
    from pip._vendor.packaging.utils import parse_wheel_filename

    name = canonicalize_name(package["name"])
    if allowed and name not in allowed:
        decline(f"The requirement files name a hash for some packages and none for {name}.")
    best: tuple[Any, dict[str, str]] | None = None
    for wheel in package.get("wheels", []):
        filename = wheel.get("name") or (wheel.get("url") or wheel["path"]).split("#")[0].split("?")[0].rpartition("/")[
            2
        ].replace("%2B", "+")
        sha256 = wheel.get("hashes", {}).get("sha256", "")
        _, version, build, fits = parse_wheel_filename(filename)
        rank = min((tags[tag] for tag in fits if tag in tags), default=None)
        if rank is None or not sha256 or (allowed and sha256 not in allowed[name]):
            continue
        order = (rank, tuple(-part if isinstance(part, int) else part for part in build), filename)
        if best is None or order < best[0]:
            best = (order, {"name": name, "version": package.get("version") or str(version), "sha256": sha256,
                            "filename": filename, "source": "wheel"})  # fmt: skip
    if best is None:
        decline(f"{name} has no wheel that fits this interpreter.")
    return best[1]


def canonicalize_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def last_part(address: str) -> str:
    return address.split("#")[0].split("?")[0].rstrip("/").rpartition("/")[2].replace("%2B", "+")


# ---- the parts -------------------------------------------------------------------------------------------


def missing(folder: str, known: str) -> None:
    """lock.txt with only those wheels that are not kept yet."""
    work = Path(folder)
    have = known_wheels(known)
    lines = [
        f"{one['name']}=={one['version']} --hash=sha256:{one['sha256']}\n"
        for one in json.loads(work.joinpath("lock.json").read_text())
        if one["sha256"] not in have
    ]
    work.joinpath("missing.txt").write_text("".join(lines))


def known_wheels(known: str) -> set[str]:
    try:
        return set(json.loads(Path(known).read_text()))
    except (OSError, ValueError):
        return set()


def split(folder: str, target: str, known: str) -> None:
    work, shared = Path(folder), Path(target)
    packages = json.loads(work.joinpath("lock.json").read_text())
    have = known_wheels(known)
    forget_caches()
    owners = owners_of_files()
    rest = {path for path in every_path() if path not in owners}
    rest.update(map(str, ENV.glob("lib/python*/site-packages")))  # an empty folder or not: always there
    parts = [pack("environment", "", rest, shared)]
    for one in packages:
        if one["sha256"] in have:
            continue
        own = {path for path, owner in owners.items() if owner == one["name"]}
        if not own:
            sys.exit(f"{one['name']} was not installed.")
        parts.append(pack(f"{one['name']}-{one['version']}", one["sha256"], own, shared))
    tell("uv", packages, parts, shared)


def whole(target: str, report: str) -> None:
    shared = Path(target)
    tell("pip", packages_of(report), [pack("environment", "", set(every_path()), shared)], shared)


def every_path() -> Iterator[str]:
    for folder, folders, files in os.walk(ENV):
        for name in files:
            yield os.path.join(folder, name)
        for name in folders:
            if os.path.islink(os.path.join(folder, name)) or not os.listdir(os.path.join(folder, name)):
                yield os.path.join(folder, name)


def forget_caches() -> None:
    """What uv leaves for itself: its lock, and when a wheel of this machine was last changed. No two environments would
    be the same."""
    (ENV / ".lock").unlink(missing_ok=True)
    for record in ENV.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        cache = record.parent / "uv_cache.json"
        if cache.exists():
            cache.unlink()
            lines = record.read_text().splitlines(keepends=True)
            record.write_text("".join(line for line in lines if "/uv_cache.json," not in line))


def owners_of_files() -> dict[str, str]:
    """path → package, from each RECORD; a .pyc belongs to whoever has its source."""
    owners = {}
    for record in sorted(ENV.glob("lib/python*/site-packages/*.dist-info/RECORD")):
        site, name = record.parent.parent, canonicalize_name(record.parent.name.split("-")[0])
        for row in csv.reader(io.StringIO(record.read_text())):
            path = os.path.normpath(site / row[0])
            if path.startswith(f"{ENV}/") and os.path.lexists(path):
                owners[path] = name
                if path.endswith(".py"):
                    stem, folder = os.path.basename(path)[:-3], os.path.dirname(path)
                    compiled = f"{folder}/__pycache__/{stem}.{sys.implementation.cache_tag}.pyc"
                    if os.path.lexists(compiled):
                        owners[compiled] = name
    return owners


def pack(name: str, wheel: str, paths: set[str], shared: Path) -> dict[str, str]:
    """One gzip member with these files and the folders that lead to them, without an end of archive."""
    entries = set(paths)
    for path in paths:
        while path != "/app":
            path = os.path.dirname(path)
            entries.add(path)
    if not paths:
        entries = {"/app", str(ENV)}
    folder = shared / "parts"
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}.tar.gz"
    with target.open("wb") as file:
        packer = subprocess.Popen(PACKER, stdin=subprocess.PIPE, stdout=file)
        assert packer.stdin is not None
        for path in sorted(entries):
            write_entry(path, packer.stdin)
        packer.stdin.close()
        if packer.wait():
            sys.exit(f"{target.name} could not be written: the disk may be full or the file larger than its limit.")
    return {"file": target.name, "name": name, "wheel": wheel}


PACKER = ["igzip", "-1", "-n", "-c"] if shutil.which("igzip") else ["gzip", "-6", "-n", "-c"]


def write_entry(path: str, out: IO[bytes]) -> None:
    state = os.lstat(path)
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.mtime = MOMENT
    if os.path.islink(path):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif os.path.isdir(path):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    elif os.path.isfile(path):
        entry.size, entry.mode = state.st_size, 0o755 if state.st_mode & 0o100 else 0o644
    else:
        return
    out.write(entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    if entry.isreg():
        with open(path, "rb") as file:
            shutil.copyfileobj(file, out, 1024 * 1024)
        out.write(bytes(-entry.size % 512))


def packages_of(report: str) -> list[dict[str, str]]:
    """The packages of pip's installation report (https://pip.pypa.io/en/stable/reference/installation-report/)."""
    found = []
    for entry in json.loads(Path(report).read_text()).get("install", []):
        download = entry["download_info"]
        filename = last_part(download.get("url", ""))
        source = "vcs" if "vcs_info" in download else "local" if "dir_info" in download else "sdist"
        found.append(
            {
                "name": canonicalize_name(entry["metadata"]["name"]),
                "version": entry["metadata"]["version"],
                "sha256": download.get("archive_info", {}).get("hashes", {}).get("sha256", ""),
                "filename": filename,
                "source": "wheel" if filename.endswith(".whl") else source,
            }
        )
    return sorted(found, key=lambda package: package["name"])


def tell(installer: str, packages: list[dict[str, str]], parts: list[dict[str, str]], shared: Path) -> None:
    result = {"installer": installer, "python": python_version(), "packages": packages, "parts": parts}
    shared.joinpath("environment.json").write_text(json.dumps(result))


def python_version() -> str:
    """The environment's; asked without its site-packages, and of a built-in module, so that nothing else is read."""
    says = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    done = subprocess.run([ENV / "bin" / "python", "-E", "-S", "-c", says], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"lock": lock, "missing": missing, "split": split, "whole": whole}
    commands[sys.argv[1]](*sys.argv[2:])
