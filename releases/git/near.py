"""What is too near for a repository: this machine itself, and the addresses where clouds keep secrets for machines.

Whoever registers an application has a worker connect to an address of his choice. What listens on the worker's own
machine mostly trusts whoever is on it, so nothing is fetched from there, unless an operator says so
(PORTAL_GIT_NEAR)."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from releases.errors import Sentence, SourceUnavailable, say
from releases.git.faults import remote_fault

_PORTS = {"https": 443, "http": 80}
_CLOUDS = {ipaddress.ip_address(address) for address in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")}
_THIS = re.compile(r"(?:.*\.)?(?:localhost|localhost\.localdomain|ip6-localhost|ip6-loopback)\.?", re.IGNORECASE)


def is_near(host: str) -> bool:
    """Whether the host is too near by its spelling alone; nobody is asked."""
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%", 1)[0])
    except ValueError:
        return bool(_THIS.fullmatch(host))
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    local = inner.is_loopback or inner.is_link_local or inner.is_unspecified or inner.is_multicast
    return bool(local or inner in _CLOUDS)


def refusal() -> Sentence:
    return say(
        "The repository's host is this machine itself, or one that only its neighbours reach, and nothing is fetched "
        "from there: use another address, or ask an operator to set PORTAL_GIT_NEAR."
    )


def pinned(url: str, proxy: Mapping[str, str]) -> dict[str, str]:
    """Look the host of a checked address up, and have git go to just the addresses that were found: a name that means
    something else a moment later leads nowhere. The variables for git; none where a proxy looks up.

    Raises `SourceUnavailable` for a host that is not known, or that is too near."""
    protocol, host, port = _place(url)
    if not host or (proxy.get(f"{protocol}_proxy") and not _goes_around(host, proxy)):
        return {}
    addresses = _looked_up(url, host, port)
    if any(is_near(address) or _is_ours(address) for address in addresses):
        raise SourceUnavailable(refusal())
    if protocol not in _PORTS or host in addresses:
        return {}
    found = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    setting = {"GIT_CONFIG_KEY_0": "http.curloptResolve", "GIT_CONFIG_VALUE_0": f"{host}:{port}:{found}"}
    return {"GIT_CONFIG_COUNT": "1", **setting}


def _place(url: str) -> tuple[str, str, int]:
    """Protocol, host and port; no host for a file."""
    if "://" not in url:
        host = url.split("@", 1)[-1]
        return "ssh", host[1 : host.index("]")] if host.startswith("[") else host.split(":", 1)[0], 22
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 22)


def _looked_up(url: str, host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:  # what git would say a moment later, save that its own look might find another answer
        raise remote_fault(url, "Could not resolve host") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_ours(address: str) -> bool:
    """Whether this machine has that address: it can be taken for a socket then."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _goes_around(host: str, proxy: Mapping[str, str]) -> bool:
    """Whether the proxy is not asked for this host, as curl reads `no_proxy`."""
    names = [name.strip().strip(".").lower() for name in proxy.get("no_proxy", "").split(",") if name.strip()]
    return "*" in names or any(f".{host}".endswith(f".{name}") for name in names)
