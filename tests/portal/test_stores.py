"""The private PostgreSQL and Redis: real servers, ended and killed, and what is in them afterwards."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from portal.setup import SetupFailed, places, postgres, redis_server
from portal.supervisor import Child, Supervisor, kill_marked


@contextmanager
def running(home: Path, *, durable: bool = False) -> Iterator[tuple[Child, Child]]:
    run_dir = home / "run"
    places.make_run_dir(run_dir)
    with Supervisor(str(home), drain_seconds=30, output=io.StringIO()) as watch:
        database = watch.add(postgres.private_server(home, run_dir, durable=durable))
        queue = watch.add(redis_server.private_server(home, run_dir))
        postgres.await_answer(database_url(home), lambda: database.alive)
        redis_server.await_answer(queue_url(home), lambda: queue.alive)
        yield database, queue


def database_url(home: Path) -> str:
    return f"postgresql://postgres@/portal?host={home}/run/postgres"


def queue_url(home: Path) -> str:
    return f"unix://{home}/run/redis.sock"


def write(home: Path) -> None:
    with psycopg.connect(database_url(home)) as connection:
        connection.execute("CREATE TABLE fruit AS SELECT 'mango' AS name")
    with redis.Redis.from_url(queue_url(home)) as client:
        client.rpush("jobs", "one")


def read(home: Path) -> tuple[object, object]:
    with psycopg.connect(database_url(home)) as connection:
        row = connection.execute("SELECT name FROM fruit").fetchone()
    with redis.Redis.from_url(queue_url(home)) as client:
        return row, client.lrange("jobs", 0, -1)


def test_stores_keep_what_was_written_over_a_stop_and_a_kill(tmp_path: Path) -> None:
    with running(tmp_path):
        write(tmp_path)
    with running(tmp_path) as children:
        assert read(tmp_path) == (("mango",), [b"one"])
        for child in children:
            assert child.process is not None
            child.process.kill()
    kill_marked(str(tmp_path))
    with running(tmp_path):
        assert read(tmp_path) == (("mango",), [b"one"])


def test_stores_listen_on_no_port_and_are_closed_to_other_accounts(tmp_path: Path) -> None:
    with running(tmp_path):
        with psycopg.connect(database_url(tmp_path)) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        with redis.Redis.from_url(queue_url(tmp_path)) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        for closed in (tmp_path / "run", tmp_path / "postgres"):
            assert closed.stat().st_mode & 0o077 == 0


def test_postgres_of_a_portal_keeps_what_it_reads_in_an_eighth_of_the_memory(tmp_path: Path) -> None:
    with running(tmp_path, durable=True), psycopg.connect(database_url(tmp_path)) as connection:
        row = connection.execute(
            "SELECT setting::bigint * 8192 FROM pg_settings WHERE name = 'shared_buffers'"
        ).fetchone()
    assert row is not None
    eighth = psutil.virtual_memory().total // 8
    assert row[0] == pytest.approx(max(128 * 1024**2, min(eighth, 1024**3)), abs=1024**2)


def test_postgres_cluster_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with running(tmp_path):
        write(tmp_path)
        assert read(tmp_path) == (("mango",), [b"one"])
    assert not (tmp_path / "postgres.new").exists()


def test_postgres_cluster_of_another_version_is_refused(tmp_path: Path) -> None:
    places.make_run_dir(tmp_path / "run")
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(SetupFailed, match=r"is of PostgreSQL 16, and this portal brings 18"):
        postgres.private_server(tmp_path, tmp_path / "run")


def test_stores_that_are_away_are_one_sentence_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed) as database:
        postgres.await_answer("postgresql://me:hush@127.0.0.1:1/x", lambda: False)
    assert str(database.value).startswith("PostgreSQL does not answer: ")
    with pytest.raises(SetupFailed) as queue:
        redis_server.await_answer("redis://:hush@127.0.0.1:1/0", lambda: False)
    assert str(queue.value).startswith("Redis does not answer: ")
    assert "hush" not in f"{database.value}{queue.value}"


def test_redis_url_of_another_kind_is_one_sentence() -> None:
    with pytest.raises(SetupFailed, match="REDIS_URL is not an address of Redis"):
        redis_server.await_answer("amqp://queue", lambda: True)
