"""`manage.py work QUEUE`: one worker process for one queue; told to stop, it finishes what it has begun."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django_rq.workers import get_worker
from redis.exceptions import RedisError

# Each job is a fork of this process: what is imported here need not be imported by each of them.
from releases.jobs import build as build
from releases.jobs import desk as desk


class Command(BaseCommand):
    help = "Run one worker for one queue until it is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", choices=sorted(settings.RQ_QUEUES))
        parser.add_argument("--burst", action="store_true", help="stop when the queue is empty")

    def handle(self, *, queue: str, burst: bool, **_options: Any) -> None:
        os.umask(0o022)  # the web server is another account, and reads what is made here
        name = f"{queue}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        try:
            worker = get_worker(queue, name=name)
            connections.close_all()  # the work-horse is a fork: it must not share a connection with its parent
            worker.work(burst=burst, logging_level="WARNING")
        except (RedisError, OSError) as error:
            raise CommandError(f"Redis does not answer ({error}): start it, or set REDIS_URL.") from error
