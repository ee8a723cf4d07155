"""The closed networks, seen from inside: real containers, real rules, and somebody who listens where none may come."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import pytest

from releases.engine import Cage, DockerEngine, Firewall
from releases.specs import ContainerSpec, Network, NeverStop
from tests.e2e.portal import eventually
from tests.engine.conftest import BASE
from tests.engine.test_contract import get

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("iptables"),
        reason="only root with iptables can close a network: run as root, apt-get install iptables",
    ),
]

ASK = """
for target in {targets}; do
  if timeout 30 bash -c "</dev/tcp/$target" 2>/dev/null; then echo "$target open"; else echo "$target shut"; fi
done
"""


@dataclass
class Listener:
    """A service of this machine on all its addresses; counts who came."""

    port: int
    came: list[str] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Listener]:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is what is tried
        listener = Listener(server.getsockname()[1])

        def take() -> None:
            with suppress(OSError):
                while True:
                    connection, (address, _) = server.accept()
                    listener.came.append(address)
                    connection.recv(1)  # the other side ends first: see SERVER
                    connection.close()

        threading.Thread(target=take, daemon=True).start()
        yield listener
        server.shutdown(socket.SHUT_RDWR)


METADATA = "169.254.169.254/80"
IN_RANGES = (
    *("10.213.7.1", "100.64.213.1", "169.254.213.1", "172.16.213.1", "198.18.213.1"),
    *("192.168.15.213", "192.168.111.213", "192.168.255.213"),
)
"""The engine takes its networks in turn from all of 192.168.0.0/16: two of the three are left, whichever it takes."""
NEIGHBOUR, FAR = "203.0.113.2", "203.0.113.129"
"""Of a range for documentation, which nobody has: one in a network that this machine stands in, one behind a router."""


SERVER = """
import socket
server = socket.create_server(("", 8080))
print("up", flush=True)
while True:
    with server.accept()[0] as connection:
        connection.recv(1)
"""
"""It lets the other side end first: who ends first keeps its ports for a minute, and others may come from the same."""


@dataclass(frozen=True)
class Beyond:
    """A host that is reached through this machine, at all of the addresses above."""

    port: int


@pytest.fixture
def beyond() -> Iterator[Beyond]:
    """It stands in a network namespace of its own, at the other end of a cable."""
    name = f"rpt{secrets.token_hex(4)}"
    inside = ("ip", "netns", "exec", name)
    with ExitStack() as stack:
        try:
            run("ip", "netns", "add", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespace can be made here ({error.stderr.strip()}): run as root of the machine")
        stack.callback(run, "ip", "netns", "delete", name)  # its end of the cable goes, and with it this one
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", "203.0.113.1/30", "dev", name)
        run("ip", "link", "set", name, "up")
        for address in (f"{NEIGHBOUR}/30", f"{FAR}/32", *(f"{one}/32" for one in IN_RANGES)):
            run(*inside, "ip", "address", "add", address, "dev", "eth0")
        for link in ("lo", "eth0"):
            run(*inside, "ip", "link", "set", link, "up")
        run(*inside, "ip", "route", "add", "default", "via", "203.0.113.1")
        for address in (FAR, *IN_RANGES):
            run("ip", "route", "add", f"{address}/32", "via", NEIGHBOUR)
        server = subprocess.Popen([*inside, sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        yield Beyond(8080)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def cage(docker: DockerEngine) -> Iterator[Callable[..., Cage]]:
    """A cage on the real engine; its rules go afterwards."""

    def made(**reach: tuple[str, ...]) -> Cage:
        return Cage(docker, Firewall(docker.instance), reach)  # type: ignore[arg-type]  # the names are of networks

    yield made
    for container in docker.containers({}):
        docker.remove(container.name)
    made().open()


@pytest.fixture
def ask(docker: DockerEngine) -> Callable[..., dict[str, str]]:
    """What a container on a network finds open."""

    def asked(kind: Network, *targets: str) -> dict[str, str]:
        name = f"asks-{secrets.token_hex(4)}"
        command = ("bash", "-c", ASK.format(targets=" ".join(targets)))
        docker.create(ContainerSpec(name, BASE, {}, network=kind, command=command))
        docker.start(name)
        lines: list[str] = []
        docker.follow(name, output=lines.append, stop=NeverStop())
        docker.remove(name)
        return dict(line.split() for line in lines)

    return asked


def in_no_network(addresses: Sequence[str]) -> list[str]:
    """Those that lie in no network which this machine stands in: there somebody else would be asked."""
    shown = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True).stdout
    networks = [ipaddress.ip_interface(line.split()[3]).network for line in shown.splitlines()]
    return [one for one in addresses if not any(ipaddress.ip_address(one) in network for network in networks)]


def listens_at(target: str) -> bool:
    """Whether this machine gets through; who was started a moment ago may not be there yet."""
    address, _, port = target.partition("/")
    try:
        socket.create_connection((address, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def addresses() -> list[str]:
    """This machine's, but for its loopback."""
    shown = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True).stdout
    return [words[3].split("/")[0] for line in shown.splitlines() if (words := line.split())[1] != "lo"]


def serving(each: str) -> tuple[str, ...]:
    """A server as a command: Perl, because the base image holds it and no Python."""
    perl = f"my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5); while (my $c = $s->accept) {{ {each} }}"
    return "perl", "-MIO::Socket::INET", "-e", perl


def gateway(docker: DockerEngine, kind: Network) -> str:
    with docker._asked("show a network"):
        found = docker._client.inspect_network(docker._own(kind))
    return str(found["IPAM"]["Config"][0]["Gateway"])


def test_nobody_comes_from_a_closed_network(
    docker: DockerEngine, cage: Callable[..., Cage], ask: Callable[..., dict[str, str]], service: Listener
) -> None:
    closed = cage()
    assert closed.keep().trouble == ""
    targets = [f"{address}/{service.port}" for address in addresses()]
    assert f"{gateway(docker, 'build')}/{service.port}" in targets
    for kind in ("build", "run"):
        assert ask(kind, *targets, METADATA) == dict.fromkeys((*targets, METADATA), "shut")
    assert service.came == []

    closed.firewall.remove()  # the control: without the rules they come
    for kind in ("build", "run"):
        assert ask(kind, *targets) == dict.fromkeys(targets, "open")
    assert len(service.came) == 2 * len(targets)


def test_every_range_that_is_near_is_refused_and_what_is_far_is_not(
    cage: Callable[..., Cage], ask: Callable[..., dict[str, str]], beyond: Beyond
) -> None:
    """A host behind this machine has an address in each range; it answers at all of them."""
    closed = cage()
    assert closed.keep().trouble == ""
    near = [f"{address}/{beyond.port}" for address in (*in_no_network(IN_RANGES), NEIGHBOUR)]
    assert {one.split(".")[0] for one in near} == {"10", "100", "169", "172", "192", "198", "203"}
    far = f"{FAR}/{beyond.port}"
    assert ask("build", far, *near) == {far: "open", **dict.fromkeys(near, "shut")}
    assert ask("run", far, *near) == dict.fromkeys((far, *near), "shut")

    closed.firewall.remove()  # the control
    for kind in ("build", "run"):
        assert ask(kind, far, *near) == dict.fromkeys((far, *near), "open")


def test_address_of_this_machine_is_refused_though_it_is_in_no_range(
    cage: Callable[..., Cage], ask: Callable[..., dict[str, str]], service: Listener
) -> None:
    """As that of a machine with a public address of its own, and no network around it."""
    run("ip", "address", "add", f"{FAR}/32", "dev", "lo")
    try:
        closed = cage()
        closed.keep()
        target = f"{FAR}/{service.port}"
        assert ask("build", target) == {target: "shut"}
        closed.firewall.remove()  # the control
        assert ask("build", target) == {target: "open"}
    finally:
        run("ip", "address", "delete", f"{FAR}/32", "dev", "lo")


def test_another_container_is_reached_neither_beside_nor_by_its_published_port(
    docker: DockerEngine, cage: Callable[..., Cage], ask: Callable[..., dict[str, str]]
) -> None:
    closed = cage()
    closed.keep()
    listens = serving("close $c")
    docker.create(ContainerSpec("beside", BASE, {}, network="build", command=listens))
    docker.start("beside")
    beside = docker._inspect("beside")["NetworkSettings"]["Networks"][docker._own("build")]["IPAddress"]
    with docker._asked("publish"):
        config = docker._client.create_host_config(port_bindings={8080: ("0.0.0.0", None)})  # noqa: S104 - that is tried
        docker._client.create_container(
            BASE, list(listens), name=docker._own("public"), ports=[8080], host_config=config, labels=docker._labels({})
        )
    docker.start("public")
    port = docker._inspect("public")["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"]
    inside = docker._inspect("public")["NetworkSettings"]["IPAddress"]
    targets = [f"{beside}/8080", f"{inside}/8080", *(f"{address}/{port}" for address in addresses())]
    assert ask("build", *targets) == dict.fromkeys(targets, "shut")
    closed.firewall.remove()  # with them, a builder may not even answer this machine
    assert ask("build", targets[0]) == {targets[0]: "shut"}  # the engine refuses it, too, where nothing else can
    for target in targets:  # the control: they listen
        eventually(lambda target=target: listens_at(target), seconds=30, what=f"{target} listens")  # type: ignore[misc]


def test_opening_opens_its_port_and_no_other(
    docker: DockerEngine, cage: Callable[..., Cage], ask: Callable[..., dict[str, str]], service: Listener
) -> None:
    docker.network("build")
    near = gateway(docker, "build")
    opened = (f"{near}:{service.port}",)
    cage(build=opened, run=opened).keep()
    other = next(address for address in addresses() if address != near)
    for kind in ("build", "run"):
        assert ask(kind, f"{near}/{service.port}", f"{near}/22", f"{other}/{service.port}") == {
            f"{near}/{service.port}": "open",
            f"{near}/22": "shut",
            f"{other}/{service.port}": "shut",
        }


def test_network_has_no_ipv6(docker: DockerEngine, cage: Callable[..., Cage]) -> None:
    cage().keep()
    docker.create(ContainerSpec("six", BASE, {}, network="build", command=("cat", "/proc/net/if_inet6")))
    docker.start("six")
    lines: list[str] = []
    docker.follow("six", output=lines.append, stop=NeverStop())
    assert [line for line in lines if not line.endswith("lo")] == []


def test_what_runs_answers_the_portal(docker: DockerEngine, cage: Callable[..., Cage]) -> None:
    cage().keep()
    answer = r'while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 x\r\n\r\nhello"'
    docker.create(ContainerSpec("answers", BASE, {}, network="run", publish=8080, command=serving(answer)))
    docker.start("answers")
    assert get(docker.address("answers", 8080)) == (200, "hello")


# ---- the rules themselves ------------------------------------------------------------------------------------


def iptables(*arguments: str) -> str:
    done = subprocess.run(["iptables", "-w", "20", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_second_closing_finds_all_as_it_should_be(cage: Callable[..., Cage]) -> None:
    assert cage().keep().mended == 2
    assert cage().keep().mended == 0


@pytest.mark.parametrize("harm", ["chain", "one rule", "input", "passage", "something before it"])
def test_rule_that_vanished_comes_back(cage: Callable[..., Cage], docker: DockerEngine, harm: str) -> None:
    cage().keep()
    chain = cage().firewall.chain("build")
    whole = iptables("-S", chain)
    jump = ("-i", docker.network("build"), "-j", chain)
    if harm == "chain":
        iptables("-F", chain)
    elif harm == "one rule":
        iptables("-D", chain, "2")
    elif harm == "something before it":
        iptables("-I", "INPUT", "-i", docker.network("build"), "-j", "ACCEPT")
    else:
        iptables("-D", "INPUT" if harm == "input" else "DOCKER-USER", *jump)
    try:
        assert cage().keep().mended >= 1
        assert iptables("-S", chain) == whole
        assert cage().keep().mended == 0
        for start in ("INPUT", "DOCKER-USER"):
            assert iptables("-S", start).count(" ".join(jump)) == 1
    finally:
        if harm == "something before it":
            iptables("-D", "INPUT", "-i", docker.network("build"), "-j", "ACCEPT")


def test_portals_leave_each_others_rules_alone(cage: Callable[..., Cage], docker: DockerEngine) -> None:
    cage().keep()
    mine = iptables("-S", cage().firewall.chain("build"))
    other = DockerEngine(docker.host, instance=secrets.token_hex(4))
    stranger = Cage(other, Firewall(other.instance), {})
    try:
        assert stranger.keep().mended == 2
        assert cage().keep().mended == 0
        assert stranger.keep().mended == 0
    finally:
        stranger.open()
    assert iptables("-S", cage().firewall.chain("build")) == mine
    assert cage().keep().mended == 0
    assert other.instance not in iptables("-S")


def test_end_leaves_no_rule_and_no_network(cage: Callable[..., Cage], docker: DockerEngine) -> None:
    cage().keep()
    assert docker.instance in iptables("-S")
    cage().open()
    cage().open()
    assert docker.instance not in iptables("-S")
    with docker._asked("list networks"):
        assert [one for one in docker._client.networks() if docker.instance in one["Name"]] == []
