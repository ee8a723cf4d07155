"""The portal's own networks, one for builders and one for what they made: the part of `DockerEngine` that keeps them.

Each is a bridge of its own, without IPv6, on which no container sees another. What leaves the bridge is the
firewall's business (firewall.py), which knows a network by the name of its interface.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Any, Literal

from docker.errors import APIError, NotFound

from releases.errors import EngineError, say
from releases.specs import Network

from .client import Client

KINDS: tuple[Literal["build", "run"], ...] = ("build", "run")


def interface(instance: str, kind: Network) -> str:
    """The bridge of that network; a name of an interface has at most 15 characters."""
    return f"rp{tag(instance)}{kind[:1]}"


def tag(instance: str) -> str:
    """An instance in at most eight characters."""
    return instance if len(instance) <= 8 else hashlib.sha256(instance.encode()).hexdigest()[:8]


class Networks:
    """What it needs of the engine is named here; `DockerEngine` has it."""

    instance: str

    @property
    def _client(self) -> Client:
        raise NotImplementedError

    def _asked(self, task: str, container: str = "") -> AbstractContextManager[None]:
        raise NotImplementedError

    def _own(self, name: str) -> str:
        raise NotImplementedError

    def network(self, kind: Network) -> str:
        if not kind:
            return ""
        with self._asked(say("make the network %(name)s", name=self._own(kind))):
            if not self._has_network(kind):
                self._make_network(kind)
        return interface(self.instance, kind)

    def remove_networks(self) -> None:
        for kind in KINDS:
            with self._asked(say("remove the network %(name)s", name=self._own(kind))):
                try:
                    self._client.remove_network(self._own(kind))
                except NotFound:
                    continue

    def _has_network(self, kind: Network) -> bool:
        try:
            found: dict[str, Any] = self._client.inspect_network(self._own(kind))
        except NotFound:
            return False
        bridge = (found.get("Options") or {}).get("com.docker.network.bridge.name")
        if bridge != interface(self.instance, kind):
            raise EngineError(
                say(
                    "The network %(name)s is not as this portal makes it: docker network rm %(name)s",
                    name=self._own(kind),
                )
            )
        return True

    def _make_network(self, kind: Network) -> None:
        options = {
            "com.docker.network.bridge.name": interface(self.instance, kind),
            "com.docker.network.bridge.enable_icc": "false",
            **self._packet_size(),
        }
        labels = {"release-portal.instance": self.instance}
        try:
            self._client.create_network(
                self._own(kind), driver="bridge", options=options, labels=labels, check_duplicate=True
            )
        except APIError:
            # Another process of this portal may have made it at this very moment: two bridges of one name cannot be.
            if not self._has_network(kind):
                raise

    def _packet_size(self) -> dict[str, str]:
        """Where somebody has set it for the engine's own bridge, because of a tunnel, say: others do not inherit it."""
        name = "com.docker.network.driver.mtu"
        try:
            found: dict[str, Any] = self._client.inspect_network("bridge")
        except NotFound:
            return {}
        size = (found.get("Options") or {}).get(name)
        return {name: str(size)} if size else {}
