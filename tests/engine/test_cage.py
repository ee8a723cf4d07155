"""What the cage opens, by the settings; and what it says where it cannot be had."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from releases.engine.cage import DEFAULT_INDEX, Cage, Kept, openings, reached_by_builds
from releases.engine.firewall import Firewall, Opening, rules
from releases.engine.networks import interface, tag
from releases.errors import EngineError, EngineUnavailable, NetworkOpen
from releases.specs import Network
from tests.fakes.engine import FakeEngine

HERE = {
    "index.internal": ["10.3.0.7"],
    "index.example.org": ["151.101.0.223"],
    "two.internal": ["192.168.0.2", "192.168.0.3"],
}


def opened(host: str) -> set[Opening]:
    return set(openings(host, lambda name: HERE.get(name, [])))


def test_far_host_needs_no_opening() -> None:
    assert opened("index.example.org:443") == set()


def test_near_host_is_opened_at_its_port_alone() -> None:
    assert opened("index.internal:3141") == {Opening("10.3.0.7/32", 3141)}
    assert opened("two.internal:80") == {Opening("192.168.0.2/32", 80), Opening("192.168.0.3/32", 80)}


def test_host_without_a_port_and_a_range_are_opened_whole() -> None:
    assert opened("index.internal") == {Opening("10.3.0.7/32")}
    assert opened("10.9.8.7/16") == {Opening("10.9.0.0/16")}


def test_unknown_host_opens_nothing() -> None:
    assert opened("nowhere.invalid:443") == set()


def test_address_of_this_machine_is_near_even_when_it_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.engine.cage.NEAR", ())
    monkeypatch.setattr("releases.engine.cage.neighbours", list)
    assert set(openings("127.0.0.1:80", lambda name: [name])) == {Opening("127.0.0.1/32", 80)}


def test_default_index_is_the_one_that_pip_names_in_its_help() -> None:
    bare = {"PIP_CONFIG_FILE": os.devnull}  # its help names what a configuration sets
    command = (sys.executable, "-m", "pip", "install", "--help")
    told = subprocess.run(command, env=bare, capture_output=True, text=True, check=True)
    index = re.search(r"\(default\s+https://([^/\s]+)/", told.stdout)
    assert index
    where, files = DEFAULT_INDEX
    assert where == f"{index[1]}:443"
    assert re.fullmatch(r"[a-z.]+:443", files)


@pytest.mark.parametrize(
    ("index", "proxies", "hosts"),
    [
        ("", [], {*DEFAULT_INDEX}),
        ("https://user:word@index.internal/simple", [], {"index.internal:443"}),
        ("http://index.internal:3141/root/pypi", ["http://proxy:3128"], {"index.internal:3141", "proxy:3128"}),
        ("", ["proxy.internal:3128"], {*DEFAULT_INDEX, "proxy.internal:3128"}),
        ("http://[broken", ["http://proxy:no"], set()),
    ],
)
def test_index_and_proxies_are_reached(index: str, proxies: list[str], hosts: set[str]) -> None:
    assert set(reached_by_builds(index, proxies, ["git.internal:443"])) == {*hosts, "git.internal:443"}


# ---- the rules ---------------------------------------------------------------------------------------------


def test_openings_come_before_what_is_refused() -> None:
    written = rules("build", [Opening("10.3.0.7/32", 3141)], ["203.0.113.0/24"])
    assert written[0] == "-d 10.3.0.7/32 -p tcp --dport 3141 -j RETURN"
    assert all("REJECT" in rule for rule in written[1:])
    for near in ("--dst-type LOCAL", "169.254.0.0/16", "10.0.0.0/8", "203.0.113.0/24"):
        assert any(near in rule for rule in written), near


def test_what_runs_may_only_answer() -> None:
    written = rules("run", [], [])
    assert "ESTABLISHED --ctdir REPLY" in written[0]
    assert written[-1].startswith("-j REJECT")


def test_instances_of_any_length_have_names_that_the_kernel_takes() -> None:
    for instance in ("a", "0badcafe", "x" * 32):
        assert len(interface(instance, "build")) <= 15
        assert len(Firewall(instance).chain("build")) <= 28
    assert tag("x" * 32) != tag("x" * 31)
    assert interface("0badcafe", "build") != interface("0badcafe", "run")


# ---- where it cannot be had ------------------------------------------------------------------------------------


@dataclass
class Wall(Firewall):
    """A firewall that closes everything, and remembers with which openings."""

    instance: str = "fa4efa4e"
    asked: dict[Network, set[Opening]] = field(default_factory=dict)

    def close(self, kind: Network, openings: object) -> bool:
        self.asked[kind] = set(openings)  # type: ignore[call-overload]  # it is iterable
        return True


def cage(firewall: Firewall, **reach: tuple[str, ...]) -> Cage:
    return Cage(FakeEngine(), firewall, reach)  # type: ignore[arg-type]  # the names are those of networks


def test_builds_may_ask_the_name_servers_and_what_runs_only_where_it_reaches_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text("# ours\nnameserver 127.0.0.53\nnameserver 10.0.0.53\nnameserver fd00::53\nsearch internal\n")
    monkeypatch.setattr("releases.engine.cage.RESOLVERS", (resolvers, tmp_path / "none"))
    names = {Opening("10.0.0.53/32", 53, "tcp"), Opening("10.0.0.53/32", 53, "udp")}
    wall = Wall()
    assert cage(wall).keep() == Kept(2, "")
    assert wall.asked == {"build": names, "run": set()}
    cage(wall, run=("10.3.0.7:5432",)).keep()
    assert wall.asked["run"] == {*names, Opening("10.3.0.7/32", 5432)}


def test_engine_elsewhere_is_told() -> None:
    assert "not on this machine" in cage(Firewall("fa4efa4e")).keep().trouble
    with pytest.raises(NetworkOpen):
        cage(Firewall("fa4efa4e")).close("build")


def test_lack_of_rights_and_of_iptables_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.engine.firewall.interface", lambda *_names: "lo")  # there is one everywhere
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "Only root can close" in cage(Firewall("fa4efa4e")).keep().trouble
    Firewall("fa4efa4e").remove()  # does nothing, and says nothing
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "iptables is not on this machine" in cage(Firewall("fa4efa4e")).keep().trouble


def test_iptables_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("iptables", "iptables-restore"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Permission denied (you must be root).' >&2\nexit 4\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr("releases.engine.firewall.interface", lambda *_names: "lo")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert "iptables-restore: Permission denied (you must be root)." in cage(Firewall("fa4efa4e")).keep().trouble


def test_runtime_that_the_engine_lacks_is_told_with_those_it_has() -> None:
    assert Cage(FakeEngine(), Wall(), {}).missing_runtime() == ""
    assert Cage(FakeEngine(), Wall(), {}, runtime="runc").missing_runtime() == ""
    lacking = Cage(FakeEngine(), Wall(), {}, runtime="runsc").missing_runtime()
    assert "has no runtime runsc, which PORTAL_RUNTIME asks for; it has runc." in lacking


def test_hosts_are_named_where_a_container_cannot_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.engine.cage.addresses", lambda name: HERE.get(name, []))
    reach = {"build": ("index.example.org:443", "index.internal:3141", "10.0.0.0/8", "nowhere.invalid")}
    assert Cage(FakeEngine(), Wall(), reach).hosts("build") == {}  # type: ignore[arg-type]  # it is a network
    named = Cage(FakeEngine(), Wall(), reach, runtime="runsc").hosts("build")  # type: ignore[arg-type]  # as above
    assert named == {"index.internal": "10.3.0.7", "index.example.org": "151.101.0.223"}


def test_engine_that_is_away_is_no_open_network() -> None:
    engine = FakeEngine()
    engine.away = True
    with pytest.raises(EngineUnavailable):
        Cage(engine, Wall(), {}).keep()
    with pytest.raises(EngineError):
        Cage(engine, Wall(), {}).open()
