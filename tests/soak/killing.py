"""The kills: what is killed, how often, and how it is found."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable

import redis

from tests.e2e.portal import RunningPortal
from tests.soak.processes import Process, services, work_horses


class Killer:
    """Kills one thing of a portal at a time. Each kind says whether there was something to be killed."""

    def __init__(self, portal: RunningPortal, chance: random.Random) -> None:
        self.portal, self.chance = portal, chance
        self._redis_url = ""
        self.kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "worker": (12, lambda: self._one(services(portal, "work builds"))),
            "work-horse": (16, lambda: self._one(work_horses(portal))),
            "worker and work-horse": (18, self._both),
            "builder's container": (16, self._container),
            "desk's worker": (6, lambda: self._one(services(portal, "work desk"))),
            "sweeper": (8, lambda: self._one(services(portal, "manage.py sweep"))),
            "web's master": (8, lambda: self._one(services(portal, "gunicorn"))),
            "Redis": (6, lambda: self._one(services(portal, "redis-server"))),
            "Redis emptied": (4, self._empty_redis),
            "PostgreSQL": (6, lambda: self._one(services(portal, "postgres"))),
        }

    def draw(self) -> str:
        """The next kind, each as often as its weight says."""
        names = list(self.kinds)
        return self.chance.choices(names, weights=[self.kinds[name][0] for name in names])[0]

    def kill(self, kind: str) -> bool:
        return self.kinds[kind][1]()

    def _one(self, found: list[Process]) -> bool:
        for victim in found[:1] if len(found) < 2 else [self.chance.choice(found)]:
            victim.kill()
        return bool(found)

    def _both(self) -> bool:
        horses = work_horses(self.portal)
        workers = {worker.pid: worker for worker in services(self.portal, "work builds")}
        pairs = [(workers[horse.parent], horse) for horse in horses if horse.parent in workers]
        if not pairs:
            return False
        for victim in self.chance.choice(pairs):
            victim.kill()
        return True

    def _container(self) -> bool:
        names = self.portal.containers("release-portal.build")
        if not names:
            return False
        done = subprocess.run(["docker", "kill", self.chance.choice(names)], capture_output=True, check=False)
        return done.returncode == 0

    def _empty_redis(self) -> bool:
        if not self._redis_url:
            told = "from django.conf import settings; print(settings.REDIS_URL)"
            self._redis_url = self.portal.manage("shell", "-v", "0", "-c", told).stdout.strip()
        try:
            with redis.Redis.from_url(self._redis_url) as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True
