"""What the web server's account can do, tried as that account: `python -m portal.trial [ENGINE'S SOCKET]`.

Exit status 1 and one sentence for the first thing that stands in the way; nothing and 0 when it can serve."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

import psycopg
import redis


def main(engine: str) -> int:
    found = _in_the_way(engine)
    if found:
        print(found)
    return 1 if found else 0


def _in_the_way(engine: str) -> str:
    from portal import settings  # only now: it, too, may be what fails

    if engine and _reaches(engine):
        return f"it reaches the container engine at {engine}"
    try:
        psycopg.connect(settings.DATABASE_URL, connect_timeout=5).close()
    except psycopg.Error as error:
        return f"the database does not let it in ({' '.join(str(error).split())})"
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        return f"Redis does not let it in ({error})"
    return ""


def _reaches(engine: str) -> bool:
    with socket.socket(socket.AF_UNIX) as knock, suppress(OSError):
        knock.settimeout(5)
        knock.connect(engine)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
