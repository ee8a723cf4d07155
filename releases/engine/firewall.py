"""Closes the portal's networks: iptables rules on the engine's machine, which must be this one.

Each network has one chain, and two jumps lead into it: from INPUT (packets to this machine) and from DOCKER-USER
(packets that it would pass on). The engine asks DOCKER-USER before its own rules and never empties it, not even when it
starts anew; where there is none, or it is not asked first, FORWARD takes its place. A chain is replaced in one go; it
carries the digest of its rules, so that one look shows whether it is still ours. Nothing else is touched, and chains
are named after the portal, so that several portals leave each other alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from releases.errors import NetworkOpen, say
from releases.specs import Network

from .networks import KINDS, interface, tag

NEAR = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
)
"""Private, shared, link-local (with the clouds' metadata), reserved and multicast: no package comes from there."""

REFUSED = ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT --reject-with icmp-admin-prohibited")
"""An answer at once: whoever asks need not wait until its patience ends."""

STARTS = ("INPUT", "FORWARD", "DOCKER-USER")

SECONDS = 20


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """Addresses that may be reached although they are near."""

    address: str
    """Or a range, such as `10.1.0.0/16`."""
    port: int = 0
    """0 is any."""
    protocol: str = "tcp"


def rules(kind: Network, openings: Iterable[Opening], neighbours: Iterable[str]) -> list[str]:
    """The rules of one chain. `neighbours` are the networks that this machine stands in."""
    told = [f"{_target(opening)} -j RETURN" for opening in sorted(set(openings))]
    if kind == "run":
        answers = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN"
        return [answers, *told, *REFUSED]
    refused = [
        "-m addrtype --dst-type LOCAL",  # every address of this machine
        *(f"-d {network}" for network in dict.fromkeys((*NEAR, *neighbours))),
    ]
    return [*told, *(f"{match} {refusal}" for match in refused for refusal in REFUSED)]


def _target(opening: Opening) -> str:
    port = f" --dport {opening.port}" if opening.port else ""
    return f"-d {opening.address} -p {opening.protocol}{port}" if port else f"-d {opening.address}"


class Firewall:
    """The rules of one portal. Every verb may be said twice, and by several processes at once."""

    def __init__(self, instance: str) -> None:
        self.instance = instance

    def chain(self, kind: Network) -> str:
        return f"RP-{tag(self.instance)}-{kind}"

    def close(self, kind: Network, openings: Iterable[Opening]) -> bool:
        """Have the rules stand; True when they did not. Raises `NetworkOpen`."""
        self._check_place(kind)
        wanted = rules(kind, openings, neighbours())
        digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
        stood = self._stands(kind, digest, len(wanted))
        if not stood:
            self._write(kind, wanted, digest)
        led = [self._lead_in(kind, start) for start in ("INPUT", self._passage())]
        return not stood or any(led)

    def remove(self) -> None:
        """Take all of this portal's rules away, as far as this user may."""
        if os.geteuid() != 0 or not shutil.which("iptables"):
            return
        for kind in KINDS:
            for start in STARTS:
                for rule in self._jumps(kind, start):
                    _iptables("-D", start, *rule)
            _iptables("-F", self.chain(kind))
            _iptables("-X", self.chain(kind))

    def _check_place(self, kind: Network) -> None:
        if not Path("/sys/class/net", interface(self.instance, kind)).exists():
            raise NetworkOpen(
                say(
                    "The engine's networks are not on this machine, so the portal cannot close them: builds may reach "
                    "whatever the engine's machine reaches. Run the portal on that machine, or close them there."
                )
            )
        if os.geteuid() != 0:
            raise NetworkOpen(
                say(
                    "Only root can close the network of builds: they may reach services of this machine and of private "
                    "networks. Start the portal as root, or see docs/security.md."
                )
            )
        if not shutil.which("iptables"):
            raise NetworkOpen(
                say(
                    "iptables is not on this machine, so the network of builds is open: they may reach services of "
                    "this machine and of private networks. Install it (Debian, Ubuntu: apt-get install iptables)."
                )
            )

    def _passage(self) -> str:
        """The chain by which packets come that are passed on: the engine's own for others' rules, unless it is not
        asked first."""
        listed = _listed("FORWARD")
        first = listed[_head(listed) :][:1]
        return "DOCKER-USER" if first == [["-j", "DOCKER-USER"]] else "FORWARD"

    def _stands(self, kind: Network, digest: str, number: int) -> bool:
        found = _iptables("-S", self.chain(kind))
        if found is None:
            return False
        lines = [line for line in found.splitlines() if line.startswith("-A")]
        return len(lines) == number + 1 and digest in lines[0]

    def _write(self, kind: Network, wanted: Sequence[str], digest: str) -> None:
        chain = self.chain(kind)
        lines = [
            f'-A {chain} -m comment --comment "release-portal {digest}"',
            *(f"-A {chain} {rule}" for rule in wanted),
        ]
        table = "\n".join(["*filter", f":{chain} - [0:0]", *lines, "COMMIT", ""])
        _run(("iptables-restore", f"--wait={SECONDS}", "--noflush"), table)

    def _lead_in(self, kind: Network, start: str) -> bool:
        """The jump must be first, save for those of other portals: a rule before it might let packets through."""
        jump = ("-i", interface(self.instance, kind), "-j", self.chain(kind))
        listed = _listed(start)
        first = [rule for rule in listed[: _head(listed)] if tuple(rule) == jump]
        if len(first) == 1 and self._jumps(kind, start) == [list(jump)]:
            return False
        for rule in self._jumps(kind, start):
            _iptables("-D", start, *rule)
        _run(("iptables", "-w", str(SECONDS), "-I", start, *jump))
        return True

    def _jumps(self, kind: Network, start: str) -> list[list[str]]:
        return [rule for rule in _listed(start) if rule[-1] == self.chain(kind)]


def _listed(chain: str) -> list[list[str]]:
    """Its rules, each in words; none when there is no such chain."""
    return [line.split()[2:] for line in (_iptables("-S", chain) or "").splitlines() if line.startswith("-A")]


def _head(listed: Sequence[Sequence[str]]) -> int:
    """How many rules at the beginning are portals' jumps."""
    others = (number for number, rule in enumerate(listed) if not re.fullmatch(r"RP-[0-9a-z]{1,8}-[a-z]+", rule[-1]))
    return next(others, len(listed))


def neighbours() -> list[str]:
    """The networks that this machine stands in, as the kernel's table of routes has them, without those in `NEAR`: the
    engine's networks come and go."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        _, destination, gateway, _, _, _, _, mask = line.split()[:8]
        bits = int(mask, 16).bit_count()
        if int(gateway, 16) == 0 and bits >= 8:
            address = int(destination, 16).to_bytes(4, "little")
            found.append(ip_network(f"{'.'.join(map(str, address))}/{bits}", strict=False))
    near = [ip_network(one) for one in NEAR]
    return sorted({str(one) for one in found if not any(one.overlaps(other) for other in near)})


def _iptables(*arguments: str) -> str | None:
    """What it printed; None when it refused, for want of a chain or a rule mostly."""
    try:
        return _run(("iptables", "-w", str(SECONDS), *arguments))
    except NetworkOpen:
        return None


def _run(command: Sequence[str], given: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=2 * SECONDS, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkOpen(say("The network of builds cannot be closed: %(why)s.", why=str(error))) from error
    if done.returncode:
        why = " ".join((done.stderr.strip() or "it said nothing").split())[:300].rstrip(".")
        raise NetworkOpen(say("The network of builds cannot be closed: %(why)s.", why=f"{command[0]}: {why}"))
    return done.stdout


def _environment() -> dict[str, str]:
    return {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}
