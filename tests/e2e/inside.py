"""What a container sees of its cage, told by code that runs inside: `look()` gives one plain fact for each question.

test_cage.py sends this file as the setup.py of a package into a real build, and as a module of the application into
the image that is probed. Standard library only; it judges nothing, and believes nothing that was asked for.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import resource
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CGROUP = Path("/sys/fs/cgroup")
TMP = Path("/tmp")  # noqa: S108 - inside
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SYSCALLS = {"mount": 165, "reboot": 169, "init_module": 175, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
            "setns": 308, "bpf": 321, "userfaultfd": 323}  # fmt: skip
"""Of x86-64."""


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    """`wanted` has `canaries` by name (written backwards, so that its file does not hold them), `targets` (each
    `address port`) and `names` to resolve."""
    found: dict[str, Any] = {}
    for question in (identity, files, limits, kernel, others, network):
        found.update(question())
    found["canaries"] = {name: sorted(set(places(word[::-1]))) for name, word in wanted["canaries"].items()}
    found["open"] = [target for target in wanted["targets"] if is_open(*target.split())]
    found["resolved"] = [name for name in wanted["names"] if resolves(name)]
    return found


def identity() -> dict[str, Any]:
    status = dict(re.findall(r"^(\w+):\s*(.*)$", Path("/proc/self/status").read_text(), re.MULTILINE))
    return {
        "ids": sorted({*os.getresuid(), *os.getresgid(), *os.getgroups()}),
        "capabilities": {name: int(value, 16) for name, value in status.items() if name.startswith("Cap")},
        "no_new_privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "becomes_root": allowed(lambda: os.setuid(0)) or allowed(lambda: os.setgid(0)),
        "environment": sorted(os.environ),
        "hostname": socket.gethostname(),
    }


# ---- files -------------------------------------------------------------------------------------------------


def files() -> dict[str, Any]:
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    options = {words[4]: words[5].split(",") for words in mounts}
    room = os.statvfs(TMP)
    devices = [
        str(path) for path in walk(Path("/dev"), 3) if is_kind(path, stat.S_ISBLK) or is_kind(path, stat.S_ISCHR)
    ]
    return {
        "root_is_read_only": "ro" in options["/"],
        "mounts": sorted(options),
        "tmp_options": sorted({"nosuid", "nodev"} & set(options[str(TMP)])),
        "tmp_bytes": room.f_blocks * room.f_frsize,
        "writable": [str(folder) for folder in folders() if writes(folder)],
        "sockets": [str(path) for path in walk(Path("/"), 4) if is_kind(path, stat.S_ISSOCK)],
        "devices": devices,
        "makes_device": allowed(lambda: os.mknod(TMP / "device", 0o600 | stat.S_IFBLK, os.makedev(8, 0))),
        "largest_file": largest_file(),
    }


def folders() -> list[Path]:
    tops = [path for path in Path("/").iterdir() if path.is_dir() and not path.is_symlink()]
    deeper = ("/", "/etc", "/usr/bin", "/usr/local/bin", "/var/lib", "/run", "/sys/fs/cgroup", "/proc/sys/kernel")
    return sorted({*tops, *map(Path, deeper)})


def writes(folder: Path) -> bool:
    path = folder / f".written-{os.getpid()}"
    return allowed(path.touch) and allowed(path.unlink)


def walk(top: Path, depth: int) -> Iterator[Path]:
    """All that lies below, except below the kernel's own trees."""
    for folder, names, leaves in os.walk(top):
        if folder.count("/") >= depth or folder.startswith(("/proc", "/sys")):
            names[:] = []
        yield from (Path(folder, leaf) for leaf in (*names, *leaves))


def is_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def largest_file() -> int:
    """The size of a file that was to be larger than the limit; without filling it."""
    path = TMP / "huge"
    with path.open("wb") as file:
        allowed(lambda: os.ftruncate(file.fileno(), resource.getrlimit(resource.RLIMIT_FSIZE)[0] + 1))
    size = path.stat().st_size
    path.unlink()
    return size


# ---- limits ------------------------------------------------------------------------------------------------


def limits() -> dict[str, Any]:
    return {
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "file_bytes": resource.getrlimit(resource.RLIMIT_FSIZE),
        "memory": number("memory/memory.limit_in_bytes", "memory.max"),
        "memory_and_swap": number("memory/memory.memsw.limit_in_bytes", "memory.max") + number("", "memory.swap.max"),
        "pids": number("pids/pids.max", "pids.max"),
        "cpus": cpus(),
        "raises_limit": allowed(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))),
        "raises_priority": allowed(lambda: os.nice(-5)),
    }


def number(v1: str, v2: str) -> int:
    for name in (v1, v2):
        path = CGROUP / name
        if name and path.is_file():
            said = path.read_text().split()[0]
            return int(said) if said.isdigit() else -1
    return 0


def cpus() -> float:
    path = CGROUP / "cpu.max"
    if path.is_file():
        quota, period = path.read_text().split()
        return int(quota) / int(period)
    return number("cpu/cpu.cfs_quota_us", "") / number("cpu/cpu.cfs_period_us", "")


# ---- the kernel ----------------------------------------------------------------------------------------------

MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/1/root/etc/shadow", "/dev/mem",
          "/dev/kmsg")  # fmt: skip
SWITCHES = ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")


def kernel() -> dict[str, Any]:
    firmware = Path("/sys/firmware")
    return {
        "system_calls": [name for name, code in SYSCALLS.items() if calls(code)],
        "readable": [name for name in MASKED if reads(Path(name))],
        "firmware": sorted(map(str, firmware.iterdir())) if firmware.is_dir() else [],
        "switches": [name for name in SWITCHES if os.access(name, os.W_OK)],
        "sets_clock": allowed(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
        "sets_hostname": allowed(lambda: socket.sethostname("elsewhere")),
        "raw_sockets": [family.name for family in (socket.AF_INET, socket.AF_PACKET) if has_raw(family)],
    }


def has_raw(family: int) -> bool:
    return allowed(lambda: socket.socket(family, socket.SOCK_RAW).close())


def calls(code: int) -> bool:
    """Whether the kernel lets a call through; its arguments are nonsense, so that one that came through did nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    argument = CLONE_NEWUSER | CLONE_NEWNET if code == SYSCALLS["unshare"] else -1
    done = libc.syscall(ctypes.c_long(code), ctypes.c_long(argument), ctypes.c_long(0), ctypes.c_long(0),
                        ctypes.c_long(0), ctypes.c_long(0))  # fmt: skip
    return bool(done == 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS))


def allowed(act: Callable[[], Any]) -> bool:
    try:
        act()
    except (OSError, ValueError):
        return False
    return True


def reads(path: Path) -> bool:
    """Whether there is a byte in it for us."""
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


# ---- others ----------------------------------------------------------------------------------------------------


def others() -> dict[str, Any]:
    return {
        "first_process": Path("/proc/1/comm").read_text().strip(),
        "strangers": [path.name for path in processes() if owner(path) not in (None, os.getuid())],
        "group": sorted({line.split(":")[-1] for line in Path("/proc/self/cgroup").read_text().splitlines()}),
    }


def processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdigit()]


def owner(process: Path) -> int | None:
    try:
        return process.stat().st_uid
    except OSError:
        return None


def network() -> dict[str, Any]:
    interfaces = [name for _, name in socket.if_nameindex()]
    six = Path("/proc/net/if_inet6")
    lines = six.read_text().splitlines() if six.exists() else []
    return {
        "interfaces": sorted(name for name in interfaces if not name.startswith(("tun", "gre", "sit", "ip", "erspan"))),
        "ipv6": [line.split()[-1] for line in lines if not line.endswith(" lo")],
    }


def is_open(address: str, port: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as trial:
        trial.settimeout(3)
        try:
            trial.connect((address, int(port)))
        except OSError:
            return False
        return True


def resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


# ---- secrets ---------------------------------------------------------------------------------------------------


def places(word: str) -> Iterator[str]:
    """Where it can be read: in a variable, in a file, in what processes show of themselves."""
    yield from (f"${name}" for name, value in os.environ.items() if word in value)
    shown = [path / name for path in processes() for name in ("environ", "cmdline", "mountinfo")]
    for path in (*walk(Path("/"), 40), *shown):
        try:
            if not path.is_symlink() and path.is_file() and holds(path, word.encode()):
                yield re.sub(r"/proc/\d+/", "/proc/*/", str(path))
        except OSError:
            continue


def holds(path: Path, word: bytes) -> bool:
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            if word in rest + piece:
                return True
            rest = piece[-len(word) :]
    return False


if __name__ == "__main__":
    if not Path("caged.py").exists():  # pip runs this up to three times
        wanted = json.loads(Path("wanted.json").read_text())
        Path("caged.py").write_text(f"FOUND = {look(wanted)!r}\n")

    from setuptools import setup  # type: ignore[import-untyped]  # of the builder

    setup(name="caged", version="1.0", py_modules=["caged"])
