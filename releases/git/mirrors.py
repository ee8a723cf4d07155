"""The bare mirrors, one per application: brought up to date from outside, then only read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from django.conf import settings

from releases.errors import GitError, InvalidInput, RefNotFound, Sentence, SourceUnavailable, say
from releases.git import comparing, near, reading, upkeep
from releases.git.address import check_ref, check_repository, protocol_of
from releases.git.faults import remote_fault, shows_damage
from releases.git.process import Failed, Surroundings, run
from releases.git.reading import Reader
from releases.specs import Difference, NeverStop, RemoteRef, Stop, TreeEntry

FETCH_SECONDS = 900
LARGEST_FETCH = 4 * 1024 * 1024 * 1024
"""Bytes that one fetch may bring."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_DIGITS = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Git:
    """Reads repositories through mirrors kept in the folder `mirrors`. Safe to use from several processes.

    Errors: `SourceUnavailable` is the other side's, `RefNotFound` and `LimitExceeded` the repository's,
    `StorageFull` and `GitError` ours."""

    mirrors: Path
    protocols: Sequence[str] = ("https", "ssh")
    local_root: Path | None = None
    ca_bundle: str = ""
    proxy: dict[str, str] = field(default_factory=dict)
    near: bool = False
    """Whether this machine itself may be fetched from."""

    @classmethod
    def from_settings(cls) -> Git:
        return cls(
            mirrors=settings.MIRRORS_DIR,
            protocols=settings.GIT_PROTOCOLS,
            local_root=settings.LOCAL_REPOSITORIES,
            ca_bundle=str(settings.BUILD_CA_BUNDLE or ""),
            proxy=dict(settings.BUILD_PROXY),
            near=settings.GIT_NEAR,
        )

    def check(self, url: str) -> str:
        """The normalised address of a repository that may be fetched from. Raises `InvalidInput`; starts no process."""
        return check_repository(url, protocols=self.protocols, local_root=self.local_root, near=self.near)

    # ---- from outside ------------------------------------------------------------------------------

    def refresh(self, mirror: str, url: str, *, stop: Stop | None = None) -> list[RemoteRef]:
        """Fetch all tags and branches and list them: tags first, newest first. Of several who ask at the same time, one
        fetches for all.

        Commits that a tag or branch has left stay in the mirror. What `stop` raises goes on; the mirror stays
        usable then."""
        try:
            url = self.check(url)
        except InvalidInput as error:  # it was fine when it was typed: settings or the disk have changed since
            raise SourceUnavailable(error.message) from error
        path = self._path(mirror)
        asked, moment = stop or NeverStop(), time.monotonic()
        with upkeep.locked(path, asked) as lock:
            if not upkeep.was_fetched_since(moment, url, lock):
                begun = time.monotonic()
                try:
                    self._fetch(path, url, asked, lock)
                except Failed as failure:
                    self._fetch_anew(path, url, asked, lock, failure)
                upkeep.note_fetch(begun, url, lock)
            found = reading.refs(self._reader(mirror))
        if not found:
            raise SourceUnavailable(
                say(
                    "%(url)s has no tags and no branches yet, or is no git repository: push one, then refresh.", url=url
                )
            )
        return found

    def _fetch(self, path: Path, url: str, stop: Stop, lock: int) -> None:
        surroundings = Surroundings(self.ca_bundle, self.proxy)
        reached = {} if self.near else near.pinned(url, self.proxy)
        upkeep.prepare(path, surroundings, stop)
        command = ["fetch", "--quiet", "--prune", "--no-tags", "--force", "--no-recurse-submodules"]
        command += ["--no-auto-maintenance", "--no-write-fetch-head", "--", url]
        command += ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        run(
            command,
            environment=surroundings.environment(protocol_of(url)) | reached,
            git_dir=path,
            stop=upkeep.Growth(path, stop, LARGEST_FETCH),
            seconds=FETCH_SECONDS,
            keep_open=(lock,),
        )
        upkeep.join_packs(path, surroundings, stop)

    def _fetch_anew(self, path: Path, url: str, stop: Stop, lock: int, failure: Failed) -> None:
        """A second try with a fresh mirror, if the first failed because ours is damaged."""
        if not shows_damage(url, failure.said):
            raise remote_fault(url, failure.said) from failure
        upkeep.set_aside(path)
        try:
            self._fetch(path, url, stop, lock)
        except Failed as second:
            raise remote_fault(url, second.said) from second

    # ---- from the mirror ---------------------------------------------------------------------------

    def resolve(self, mirror: str, ref: str) -> tuple[str, str]:
        """The full name (empty for a commit id) and the commit of what a person typed.

        A tag goes before a branch of the same name, both before a commit id (at least 7 digits). Full names
        (`refs/tags/…`) are taken as they are. Raises `RefNotFound` with names that come close, `InvalidInput` for
        what can be no ref."""
        name = check_ref(ref)
        reader = self._reader(mirror)
        full_names = [name] if name.startswith("refs/") else [f"refs/tags/{name}", f"refs/heads/{name}"]
        for full_name in full_names:
            if commit := reader.commit(full_name):
                return full_name, commit
        digits = name.lower()
        if _DIGITS.fullmatch(digits) and (commit := reader.commit(digits)) and commit.startswith(digits):
            return "", commit
        raise RefNotFound(_not_found(name, reading.refs(reader)))

    def has_commit(self, mirror: str, commit: str) -> bool:
        """Whether the mirror holds this commit (40 hex digits), also when no ref leads to it any more."""
        if not (self._path(mirror) / "HEAD").exists():
            return False
        return self._reader(mirror).commit(reading.checked(commit)) == commit

    def committed_at(self, mirror: str, commit: str) -> datetime:
        """When the commit was made, as its committer's clock had it."""
        return reading.committed_at(self._reader(mirror), commit)

    def difference(self, mirror: str, old: str, new: str, *, requirements: Iterable[str] = ()) -> Difference:
        """What lies between two commits that the mirror holds: bounded lists of commits and files, with whole counts.
        `requirements` are paths of files whose lines matter, whatever they are called."""
        return comparing.difference(self._reader(mirror), old, new, requirements)

    def entries(self, mirror: str, commit: str) -> list[TreeEntry]:
        """Every file of the commit, by path; bytes that are not UTF-8 are shown as `\\x..`.

        Raises `LimitExceeded` above `reading.MOST_FILES`."""
        return reading.entries(self._reader(mirror), commit)

    def read_file(self, mirror: str, commit: str, path: str, *, limit: int = 1024 * 1024) -> bytes | None:
        """The content of one file; links inside the repository are followed. None when there is no such file.

        Raises `LimitExceeded` above `limit` bytes."""
        return reading.read_file(self._reader(mirror), commit, path, limit)

    def archive(
        self,
        mirror: str,
        commit: str,
        *,
        uid: int = 10001,
        folder: str = "",
        bytes_limit: int = reading.MOST_BYTES,
        stop: Stop | None = None,
    ) -> Iterator[bytes]:
        """The commit as an uncompressed tar stream whose members belong to `uid`: the same bytes every time.

        With `folder` (such as `app`) all lies in a folder of that name, which is the first member.
        `bytes_limit` bounds the files together. Raises `LimitExceeded` above it or above `reading.MOST_FILES`,
        `BuildFailed` for a name that leads out of the folder it is unpacked in."""
        return reading.archive(self._reader(mirror), commit, uid, folder, bytes_limit, stop or NeverStop())

    def _path(self, mirror: str) -> Path:
        if not _NAME.fullmatch(mirror) or mirror.endswith((".lock", ".damaged")):
            raise GitError(say("The name of a mirror may hold letters, digits, “.”, “_” and “-” only."))
        return self.mirrors / mirror

    def _reader(self, mirror: str) -> Reader:
        return Reader(self._path(mirror), Surroundings())


def _not_found(name: str, known: Sequence[RemoteRef]) -> Sentence:
    names = list(dict.fromkeys(ref.name for ref in known))
    if near := get_close_matches(name, names, n=5, cutoff=0.5):
        return say(
            "The repository has no tag, branch or commit “%(name)s”: did you mean %(near)s?",
            name=name,
            near=", ".join(near),
        )
    if names:
        return say(
            "The repository has no tag, branch or commit “%(name)s”: it has for example %(names)s.",
            name=name,
            names=", ".join(names[:5]),
        )
    return say("The repository has no tag, branch or commit “%(name)s”: it has no refs at all.", name=name)
