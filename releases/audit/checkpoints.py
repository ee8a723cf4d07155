"""Signed notes of how far the chain of events went, kept outside the database.

A chain alone does not show that its tail was cut off, or that all of it was written anew by who may write the database.
A checkpoint (position, hash, time) signed with a key that the database does not know does, from wherever a copy lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from releases.audit import chain
from releases.errors import InvalidInput, StorageError, say


@dataclass(frozen=True, slots=True)
class Checkpoint:
    instance: str
    position: int
    hash: str
    at: str
    """UTC, ISO 8601."""
    signature: str
    """Ed25519, in hex."""

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is of."""
        return f"release-portal checkpoint\n{self.instance}\n{self.position}\n{self.hash}\n{self.at}\n".encode()


def write(path: Path, key: Ed25519PrivateKey, instance: str) -> Checkpoint | None:
    """Add a checkpoint of the chain's head, unless the last one in the file is of it. Raises `StorageError`."""
    position, hash_ = chain.head()
    known = last(path)
    if not position or (known is not None and (known.position, known.hash) == (position, hash_)):
        return None
    unsigned = Checkpoint(instance, position, hash_, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "")
    made = Checkpoint(instance, position, hash_, unsigned.at, key.sign(unsigned.signed).hex())
    _append(path, json.dumps(record(made)) + "\n")
    return made


def record(checkpoint: Checkpoint) -> dict[str, str | int]:
    """As a line of the file holds it."""
    return asdict(checkpoint)


def _append(path: Path, line: str) -> None:
    """One write to the file's end, on the disk when this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            say(
                "No checkpoint of the audit trail can be written to %(path)s: %(reason)s.",
                path=str(path),
                reason=error.strerror or "",
            )
        ) from error


def last(path: Path) -> Checkpoint | None:
    """The newest in the file, looking at its end alone; None when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            return Checkpoint(**json.loads(line))
        except (ValueError, TypeError):
            continue  # half a line: the machine went down while it was written
    return None


def read(path: Path) -> Iterator[Checkpoint]:
    """All in the file, oldest first; raises `InvalidInput` for a line that is none. A torn last line is left out."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError as error:
        raise InvalidInput(
            say("The checkpoints %(path)s cannot be read: %(why)s.", path=str(path), why=error.strerror or "")
        ) from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield Checkpoint(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                return
            raise InvalidInput(
                say("Line %(n)s of %(path)s is no checkpoint of the portal.", n=number, path=str(path))
            ) from error


def anchors(checkpoints: Iterable[Checkpoint], key: Ed25519PublicKey) -> tuple[dict[int, str], list[chain.Finding]]:
    """The hashes that are vouched for, by position, and the checkpoints whose signature is not of this key."""
    hashes: dict[int, str] = {}
    wrong: list[chain.Finding] = []
    for checkpoint in checkpoints:
        try:
            key.verify(bytes.fromhex(checkpoint.signature), checkpoint.signed)
        except (InvalidSignature, ValueError):
            sentence = say(
                "The checkpoint of link %(n)s (%(at)s) is not signed with the portal's key.",
                n=checkpoint.position,
                at=checkpoint.at,
            )
            wrong.append(chain.Finding(sentence, checkpoint.position))
        else:
            hashes[checkpoint.position] = checkpoint.hash
    return hashes, wrong


def own_key(path: Path) -> Ed25519PrivateKey:
    """The portal's key, made when there is none; its file is the owner's alone. Raises `StorageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise StorageError(
            say("The key of the audit trail in %(path)s cannot be used: %(why)s", path=str(path), why=str(error))
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StorageError(say("The key of the audit trail in %(path)s is no Ed25519 key.", path=str(path)))
    return key


def _make_key(path: Path) -> None:
    """Under a name of its own first: two processes that start at once agree on one."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, pem)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def public_key(path: Path) -> Ed25519PublicKey:
    """From a PEM file that an auditor keeps; raises `InvalidInput`."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            say("%(path)s holds no public key in PEM: %(why)s", path=str(path), why=str(error))
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(say("%(path)s holds no Ed25519 key.", path=str(path)))
    return key
