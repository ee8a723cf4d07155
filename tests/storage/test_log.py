"""A log from the writer to the reader."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from pytest_django import Settings

from releases.storage import BuildLog, LogWriter, log_path, preparation_log_path, preview_log_path
from releases.storage.cleaning import LONGEST_LINE, MASKED

SECRET = "s3cr3t-Tok.en+42"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "builds" / "000" / "000042.log"


def texts(path: Path) -> list[str]:
    return [line.text for line in BuildLog(path).lines()]


def test_line_can_be_read_as_soon_as_it_is_written(path: Path) -> None:
    log, seen = BuildLog(path), 0
    assert (log.size, log.lines(), log.read(0), list(log.plain())) == (0, [], (b"", 0), [])
    with LogWriter(path) as writer:
        for number in range(5):
            writer.line(f"line {number}")
            data, seen = log.read(seen)
            assert data.endswith(f"\tline {number}\n".encode())
            assert data.count(b"\n") == 1
    assert seen == log.size
    assert log.read(seen) == (b"", seen)


def test_line_on_the_disk_has_seconds_and_text(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.line("tab\tstays")
    seconds, text = path.read_text().rstrip("\n").split("\t", 1)
    assert float(seconds) >= 0
    assert len(seconds.split(".")[1]) == 2
    assert text == "tab\tstays"


def test_line_with_line_breaks_makes_several(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.line("one\ntwo\r\nthree")
    assert texts(path) == ["one", "two", "three"]


def test_steps_are_marked_and_nobody_else_can_mark_one(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.step("checkout")
        writer.line("Fetching")
        writer.line("\x1eforged", step="produce")
        writer.line("0.00\t\x1eforged", step="produce")
    lines = BuildLog(path).lines()
    assert [line.text for line in lines if line.begins_step] == ["checkout", "produce"]
    assert list(BuildLog(path).plain()) == [
        b"== checkout ==\n",
        b"Fetching\n",
        b"== produce ==\n",
        "\ufffdforged\n".encode(),
        "0.00\t\ufffdforged\n".encode(),
    ]


def test_plain_log_has_no_colours(path: Path) -> None:
    with LogWriter(path) as writer:
        writer.line("\x1b[31mred\x1b[0m text")
    assert texts(path) == ["\x1b[31mred\x1b[0m text"]
    assert b"".join(BuildLog(path).plain()) == b"red text\n"


def test_log_that_is_gone_on_with_continues_its_seconds(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("100.00\tbefore the worker was lost\n101.50\ttorn by its dea")
    with LogWriter(path) as writer:
        writer.line("The worker was lost.")
    lines = BuildLog(path).lines()
    assert [line.text for line in lines] == ["before the worker was lost", "torn by its dea", "The worker was lost."]
    assert lines[-1].seconds >= 100


def test_secrets_are_masked_in_whole_lines_before_they_are_cut(path: Path) -> None:
    with LogWriter(path, secrets=[SECRET]) as writer:
        for place in range(LONGEST_LINE - 40, LONGEST_LINE + 20):
            writer.line("x" * place + SECRET + "y" * 30)
        writer.line(f"password={SECRET}")
    kept = path.read_text()
    assert all(SECRET[:size] not in kept for size in range(4, len(SECRET)))
    assert kept.endswith(f"password={MASKED}\n")


@pytest.mark.parametrize("place", range(1, len(SECRET)))
def test_secret_does_not_leak_where_a_long_line_was_split_by_others(path: Path, place: int) -> None:
    printed = "x" * LONGEST_LINE + SECRET[:place], SECRET[place:] + " and more"
    with LogWriter(path, secrets=[SECRET]) as writer:
        for part in printed:
            writer.line(part)
    kept = "".join(texts(path))
    assert SECRET not in kept.replace("\n", "")
    assert texts(path)[1] == f"{MASKED} and more"


@pytest.mark.parametrize("place", range(1, len(SECRET)))
def test_secret_does_not_leak_through_an_escape_in_its_middle(path: Path, place: int) -> None:
    with LogWriter(path, secrets=[SECRET]) as writer:
        for escape in ("\x1b[31m", "\x1b]0;x\x07", "\x1b[K", "\x1b(B"):
            writer.line(f"a {SECRET[:place]}{escape}{SECRET[place:]} b")
    assert SECRET not in b"".join(BuildLog(path).plain()).decode()


def test_flood_keeps_head_and_tail_and_says_what_was_cut(path: Path) -> None:
    limit = 400_000
    with LogWriter(path, limit=limit) as writer:
        for number in range(100_000):
            writer.line(f"line {number}")
        writer.step("package")
        for number in range(100_000):
            writer.line(f"second {number}")
        writer.line("The build failed.")
    lines = BuildLog(path).lines()
    kept = [line.text for line in lines]
    assert path.stat().st_size <= limit + 1000
    assert kept[0] == "line 0"
    assert kept[-1] == "The build failed."
    assert kept[kept.index("package") - 1] == "line 99999"
    assert kept[-2] == "second 99999"
    assert sum("were cut here" in text for text in kept) == 2
    assert sum("The log is full here" in text for text in kept) == 1
    assert [line.seconds for line in lines] == sorted(line.seconds for line in lines)
    told = sum(int(text.split()[1].replace(",", "")) for text in kept if "were cut here" in text)
    assert told + sum(text.startswith(("line ", "second ")) for text in kept) == 200_000


def test_flood_of_steps_stays_bounded(path: Path) -> None:
    with LogWriter(path, limit=100_000) as writer:
        for number in range(30):
            writer.step(f"step {number}")
            for _ in range(2000):
                writer.line("x" * 50)
    assert path.stat().st_size <= 110_000
    assert sum(line.begins_step for line in BuildLog(path).lines()) == 30


def test_full_log_that_is_gone_on_with_stays_bounded(path: Path) -> None:
    for _ in range(60):
        with LogWriter(path, limit=100_000) as writer:
            for _ in range(200):
                writer.line("x" * 50)
    assert path.stat().st_size <= 120_000
    assert sum("The log is full here" in text for text in texts(path)) == 1


def test_limit_comes_from_the_settings(path: Path, settings: Settings) -> None:
    settings.LOG_LIMIT_BYTES = 10_000
    with LogWriter(path) as writer:
        for _ in range(1000):
            writer.line("x" * 100)
    assert path.stat().st_size <= 11_000


def test_full_disk_never_ends_a_build_and_is_told_when_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, 60

    def nearly_full(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= len(data[:room])
        return write(descriptor, data[: room + len(data)] if room else data[:7])

    with LogWriter(path) as writer:
        writer.line("before")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", nearly_full)
            for number in range(20):
                writer.line(f"while it is full {number} " + "x" * 30)
        assert "No space left on device" in writer.trouble
        writer.line("The disk was full.")
    kept = texts(path)
    assert kept[0] == "before"
    assert kept[-1] == "The disk was full."
    assert "lines could not be written" in kept[-2]
    assert "No space left on device" in kept[-2]
    assert all(line.count("while it is full") <= 1 for line in kept)


def test_log_that_cannot_be_opened_is_remembered_and_tried_again(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("in the way")
    with LogWriter(path) as writer:
        writer.line("lost")
        assert str(path) in writer.trouble
        path.parent.unlink()
        writer.line("The build failed.")
    assert texts(path)[-1] == "The build failed."
    assert texts(path)[0].startswith("… 1 lines could not be written")


def test_many_threads_write_whole_lines(path: Path) -> None:
    with LogWriter(path) as writer:
        threads = [
            threading.Thread(target=lambda name=name: writer.line("\n".join(f"{name} {n}" for n in range(300))))
            for name in "abcd"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kept = texts(path)
    assert len(kept) == 1200
    assert [text for text in kept if text.startswith("c")] == [f"c {n}" for n in range(300)]


# ---- reading ---------------------------------------------------------------------------------------


def test_read_gives_whole_lines_whatever_the_offset(path: Path) -> None:
    with LogWriter(path) as writer:
        for number in range(40):
            writer.line(f"línea {number}")
    whole = path.read_bytes()
    for offset in range(len(whole) + 1):
        data, after = BuildLog(path).read(offset)
        assert after == len(whole)
        assert whole.endswith(data)
        assert data == b"" or whole[len(whole) - len(data) - 1 : len(whole) - len(data)] in (b"\n", b"")


@pytest.mark.parametrize("offset", [-1, -(10**12), 10**12])
def test_read_takes_absurd_offsets(path: Path, offset: int) -> None:
    with LogWriter(path) as writer:
        writer.line("one")
    data, after = BuildLog(path).read(offset)
    assert after == path.stat().st_size
    assert data == (path.read_bytes() if offset < 0 else b"")


def test_read_in_pieces_is_the_whole(path: Path) -> None:
    with LogWriter(path) as writer:
        for number in range(300):
            writer.line(f"{number} " + "é" * (number * 30))
    pieces, offset = b"", 0
    while True:
        data, after = BuildLog(path).read(offset, limit=1000)
        assert after == offset + len(data)
        if not data:
            break
        assert data.endswith(b"\n")
        pieces, offset = pieces + data, after
    assert pieces == path.read_bytes()


def test_read_holds_back_a_line_that_is_not_whole_yet(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("0.00\twhole\n0.01\tha")
    assert BuildLog(path).read(0) == (b"0.00\twhole\n", 11)
    assert BuildLog(path).read(11) == (b"", 11)
    assert texts(path) == ["whole"]


def test_last_lines(path: Path) -> None:
    with LogWriter(path) as writer:
        for number in range(5000):
            writer.line(f"{number} " + "x" * 90)
    for wanted in (0, 1, 7, 5000, 9999):
        kept = [line.text.split()[0] for line in BuildLog(path).lines(last=wanted)]
        assert kept == [str(number) for number in range(5000)][5000 - min(wanted, 5000) :]


def test_paths_are_sharded_below_the_folder_of_logs(settings: Settings, tmp_path: Path) -> None:
    settings.LOGS_DIR = tmp_path
    assert log_path(42) == tmp_path / "builds/000/000042.log"
    assert log_path(1_234_567) == tmp_path / "builds/1234/1234567.log"
    assert preview_log_path(7) == tmp_path / "previews/000/000007.log"
    assert preparation_log_path(1000) == tmp_path / "preparations/001/001000.log"
