"""What a checkpoint vouches for, whoever wrote the file."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from releases.audit import chain, checkpoints
from releases.errors import InvalidInput, StorageError
from releases.models import Build, Event
from tests.audit.conftest import hang_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    return checkpoints.own_key(tmp_path / "audit_key")


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    again = checkpoints.own_key(tmp_path / "audit_key")
    assert checkpoints.public_pem(again.public_key()) == checkpoints.public_pem(key.public_key())
    assert stat.S_IMODE((tmp_path / "audit_key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["audit_key"]


def test_a_key_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "audit_key").write_text("nonsense")
    with pytest.raises(StorageError, match=r"The key of the audit trail in .*/audit_key cannot be used"):
        checkpoints.own_key(tmp_path / "audit_key")


def test_a_checkpoint_is_written_when_the_head_has_moved(
    trail: list[Build], tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    path = tmp_path / "away" / "checkpoints.jsonl"
    first = checkpoints.write(path, key, "abc")
    assert first is not None
    assert (first.position, first.hash) == chain.head()
    assert checkpoints.write(path, key, "abc") is None
    Event.objects.record("artifact.downloaded", build=trail[0])
    hang_on()
    assert checkpoints.write(path, key, "abc") is not None
    known, wrong = checkpoints.anchors(checkpoints.read(path), key.public_key())
    assert sorted(known) == [first.position, first.position + 1]
    assert wrong == []
    assert list(chain.findings(known)) == []


def test_an_empty_trail_gets_none(db: None, tmp_path: Path, key: Ed25519PrivateKey) -> None:
    assert checkpoints.write(tmp_path / "checkpoints.jsonl", key, "abc") is None
    assert not (tmp_path / "checkpoints.jsonl").exists()


@pytest.mark.parametrize(
    "change", [{"position": 3}, {"hash": "0" * 64}, {"at": "2020-01-01T00:00:00Z"}, {"signature": "x"}]
)
def test_a_forged_checkpoint_is_named(
    trail: list[Build], tmp_path: Path, key: Ed25519PrivateKey, change: dict[str, str | int]
) -> None:
    made = checkpoints.write(tmp_path / "c", key, "abc")
    assert made is not None
    forged = replace(made, **change)  # type: ignore[arg-type] # each value fits its field
    known, wrong = checkpoints.anchors([forged], key.public_key())
    assert known == {}
    assert [one.sentence for one in wrong] == [
        f"The checkpoint of link {forged.position} ({forged.at}) is not signed with the portal's key."
    ]


def test_another_portals_key_vouches_for_nothing(trail: list[Build], tmp_path: Path, key: Ed25519PrivateKey) -> None:
    checkpoints.write(tmp_path / "c", key, "abc")
    other = checkpoints.own_key(tmp_path / "other_key")
    known, wrong = checkpoints.anchors(checkpoints.read(tmp_path / "c"), other.public_key())
    assert (known, len(wrong)) == ({}, 1)


def test_a_torn_last_line_is_left_out_and_nonsense_is_said(
    trail: list[Build], tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    path = tmp_path / "c"
    made = checkpoints.write(path, key, "abc")
    whole = path.read_text()
    path.write_text(whole + '{"position": 9')
    assert list(checkpoints.read(path)) == [made]
    assert checkpoints.last(path) == made
    path.write_text("nonsense\n" + whole)
    with pytest.raises(InvalidInput, match=r"Line 1 of .*/c is no checkpoint of the portal\."):
        list(checkpoints.read(path))
    assert json.loads(whole)["instance"] == "abc"
