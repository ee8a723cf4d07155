"""The cage of what other people wrote: its networks, closed, with openings for the hosts that the settings name.

It says what it could not have, and whoever runs something decides by that: a build warns, or is refused where the
settings require the cage.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI

from releases.errors import NetworkOpen, say
from releases.specs import Engine, Network

from .firewall import NEAR, Firewall, Opening, neighbours
from .networks import KINDS

PORTS = {"http": 80, "https": 443}
DEFAULT_INDEX = (f"{PyPI.netloc}:443", f"{PyPI.file_storage_domain}:443")
"""What pip fetches from where the settings name no index, by its own word."""
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second where the first names a resolver on this machine's loopback: the engine reads both."""

Resolve = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round found."""

    mended: int
    """How many networks had not been closed as they should be, and are now."""
    trouble: str
    """Why they are open; empty when they are closed."""


@dataclass(frozen=True, slots=True)
class Cage:
    engine: Engine
    firewall: Firewall
    reach: Mapping[Network, tuple[str, ...]]
    """What may be reached although it is near, for each network: `host`, `host:port`, an address or a range."""
    required: bool = False
    runtime: str = ""
    """Which of the engine's runtimes runs what is caged; empty is the engine's default."""

    def close(self, kind: Network) -> bool:
        """Have that network closed; True when it was not. Raises `EngineError`; `NetworkOpen` when it stays open."""
        self.engine.network(kind)
        return self.firewall.close(kind, self._openings(kind))

    def hosts(self, kind: Network) -> dict[str, str]:
        """The addresses of the hosts that are reached, for a runtime in which nobody answers for names: gVisor has a
        network of its own, in which the name server that the engine puts into a container is not there."""
        if not is_gvisor(self.runtime):
            return {}
        named = {_parted(host)[0] for host in self.reach.get(kind, ()) if "/" not in host}
        return {name: found[0] for name in sorted(named) if (found := addresses(name)) and found[0] != name}

    def missing_runtime(self) -> str:
        """Why what is caged cannot be run as the settings ask for; empty when it can. Raises `EngineError`."""
        known = self.engine.info().runtimes
        if not self.runtime or self.runtime in known:
            return ""
        return say(
            "The container engine has no runtime %(runtime)s, which PORTAL_RUNTIME asks for; it has %(known)s.",
            runtime=self.runtime,
            known=", ".join(known),
        )

    def keep(self) -> Kept:
        """Have both closed. Raises `EngineError`."""
        mended = 0
        for kind in KINDS:
            try:
                mended += self.close(kind)
            except NetworkOpen as error:
                return Kept(mended, error.message)
        return Kept(mended, "")

    def open(self) -> None:
        """Take networks and rules away, at the end of the portal."""
        self.engine.remove_networks()
        self.firewall.remove()

    def _openings(self, kind: Network) -> list[Opening]:
        hosts = self.reach.get(kind, ())
        asks_names = kind == "build" or bool(hosts)
        found = [opening for host in hosts for opening in openings(host)]
        return [*found, *(_of_resolvers() if asks_names else ())]


def is_gvisor(runtime: str) -> bool:
    return runtime.startswith("runsc")


def reached_by_builds(index_url: str, proxies: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The hosts, with ports, that a builder fetches from."""
    urls = [url for url in (index_url, *proxies) if url]
    index = () if index_url else DEFAULT_INDEX
    return (*index, *(host for url in urls if (host := _host(url))), *others)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = parts.port or PORTS.get(parts.scheme, 80)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""


def openings(host: str, resolve: Resolve | None = None) -> Iterator[Opening]:
    """What must be opened for one of `Cage.reach`: nothing for what is far, because that is open."""
    name, port = _parted(host)
    if "/" in name:
        yield Opening(str(ipaddress.ip_network(name, strict=False)))
        return
    for address in (resolve or addresses)(name):
        if is_near(address):
            yield Opening(f"{address}/32", port)


def _parted(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    return (name, int(port)) if colon and re.fullmatch(r"\d+", port) else (host, 0)


def addresses(name: str) -> list[str]:
    """Of IPv4, which is all that the networks have; none when nobody knows the name."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(address[0]) for *_, address in found})


def is_near(address: str) -> bool:
    """Whether the rules refuse that address where nothing opens it."""
    place = ipaddress.ip_address(address)
    if any(place in ipaddress.ip_network(network) for network in (*NEAR, *neighbours())):
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


def _of_resolvers() -> Iterator[Opening]:
    """The engine asks these in a container's name, from the container's own address."""
    for file in RESOLVERS:
        try:
            text = file.read_text()
        except OSError:
            continue
        for address in re.findall(r"^\s*nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$", text, re.MULTILINE):
            if not address.startswith("127."):
                yield from (Opening(f"{address}/32", 53, protocol) for protocol in ("tcp", "udp"))
