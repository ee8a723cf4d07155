"""The measuring itself: both sides and the floor in turn."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import commands
from tests.bench.applications import ALL, commit
from tests.bench.click import Clicker
from tests.bench.figures import Side, Turn
from tests.bench.floor import Floor, Kept
from tests.bench.options import Options
from tests.bench.own_portal import Say, own_portal, remove_images, undisturbed
from tests.bench.procedure import Origin
from tests.e2e.portal import RunningPortal


@dataclass(slots=True)
class Measured:
    turns: list[Turn] = field(default_factory=list)
    probes: dict[str, list[float]] = field(default_factory=dict)
    """What the step *probe* took in one more release with it, by application."""


@dataclass(frozen=True, slots=True)
class Bench:
    options: Options
    portal: RunningPortal
    clicker: Clicker
    origin: Origin
    floor: Floor
    say: Say

    def measure(self) -> Measured:
        measured = Measured()
        for number in range(1, self.options.rounds + 1):
            for name in self.options.applications:
                self._round(name, number, measured)
        return measured

    def _round(self, name: str, number: int, measured: Measured) -> None:
        """All cases of one application, which is a new one to both sides."""
        own = f"bench-{name}-{number}"
        repository = commit(self.portal.repositories, own, ALL[name], "first")
        self.clicker.register(own, repository)
        self.floor.mirror(repository)
        try:
            if "first" not in self.options.cases:
                self.clicker.release(own, "first")  # the other cases need what it leaves
            for case in self.options.cases:
                turn = self._turn(name, own, repository, case, number)
                measured.turns.append(turn)
                self._tell(turn)
            if "source" in self.options.cases:
                measured.probes.setdefault(name, []).append(self._probe(name, own))
        finally:
            remove_images(f"release-portal-{self.portal.instance}/{own}")

    def _turn(self, name: str, own: str, repository: str, case: str, number: int) -> Turn:
        ref = "first" if case == "again" else case
        kept = Kept.of(self.portal.home / "blobs", self.clicker.artifact(own)) if case == "source" else None
        if ref != "first":
            commit(self.portal.repositories, own, ALL[name], case)
        portal = _calm(lambda: self.clicker.release(own, ref))
        floor = _calm(lambda: self.floor.measure(repository, ref, kept)) if kept else None
        self.origin.forget()
        origin = _calm(lambda: self.origin.release(own, ref))
        if number == 1 and case == self.options.cases[0]:
            self.origin.check()
        return Turn(name, case, number, portal, origin, floor)

    def _probe(self, name: str, own: str) -> float:
        commit(self.portal.repositories, own, ALL[name], "probe")
        self.clicker.with_probe(own)
        return _calm(lambda: self.clicker.release(own, "probe")).parts["probe"]

    def _tell(self, turn: Turn) -> None:
        floor = f", floor {turn.floor.seconds:.2f} s" if turn.floor else ""
        self.say(
            f"round {turn.round} of {self.options.rounds}, {turn.application}, {turn.case}: "
            f"portal {turn.portal.seconds:.2f} s, origin {turn.origin.seconds:.1f} s{floor}"
        )


def _calm(measure: Callable[[], Side]) -> Side:
    """What the one before has left to be written shall not be waited for by the next."""
    os.sync()
    return measure()


@contextmanager
def workshop(options: Options, home: Path, say: Say) -> Iterator[Bench]:
    """Both sides, prepared, in a folder of their own below `home`; all of it is gone afterwards."""
    with own_portal(home, say) as (portal, folder):
        origin = Origin(folder / "origin", portal.repositories, secrets.token_hex(4))
        try:
            (folder / "floor").mkdir()
            clicker = Clicker(portal)
            say("Preparing the portal's stack; the first time takes some minutes.")
            clicker.prepare()
            say("Preparing the origin's images.")
            origin.prepare()
            floor = Floor(folder / "floor", f"{origin.name}/floor:latest")
            yield Bench(options, portal, clicker, origin, floor, say)
            clicker.close()
        finally:
            with undisturbed():
                origin.clear()
                commands.quietly("docker", "rmi", "--force", f"{origin.name}/floor:latest")
