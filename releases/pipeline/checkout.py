"""Step 1: the exact commit, from the application's bare mirror, and whether it keeps the contract."""

from __future__ import annotations

from releases.errors import BuildFailed, LimitExceeded, RefNotFound, say
from releases.pipeline import contract
from releases.pipeline.bench import Bench
from releases.specs import BuildSpec, CheckedOut, TreeEntry


def check_out(spec: BuildSpec, bench: Bench) -> CheckedOut:
    """Make sure that the mirror holds the commit and that it can be built.

    Raises `RefNotFound`, `SourceUnavailable`, `BuildFailed` when the contract is broken.
    """
    full, commit = _locate(spec, bench)
    entries = bench.git.entries(spec.mirror, commit)
    size = sum(entry.size for entry in entries)
    _check_names(entries)
    bench.output(f"{len(entries):,} files, {size:,} bytes, from the mirror")
    contract.check(
        [entry.path for entry in entries if entry.mode.startswith(("100", "120"))],  # files, and links to files
        lambda path: _read(spec, commit, path, bench),
        spec.layout,
        where=f"{spec.ref} ({commit[:7]})",
    )
    bench.output(
        f"The contract is kept: {spec.layout.requirements}, {spec.layout.directory}/, {spec.layout.entry_point}"
    )
    return CheckedOut(
        commit=commit,
        ref_full=full,
        files=len(entries),
        size=size,
        committed_at=bench.git.committed_at(spec.mirror, commit),
    )


def _check_names(entries: list[TreeEntry]) -> None:
    """What would end where the environment must go, or could not be shown to anybody."""
    for entry in entries:
        if entry.path.split("/")[0] == "env":
            raise BuildFailed(
                say(
                    "The repository holds a file or folder named env, where the virtual environment must go: rename it."
                )
            )
        if any(ord(character) < 32 or ord(character) == 127 for character in entry.path):
            shown = entry.path.encode("unicode_escape").decode()[:120]
            raise BuildFailed(
                say("The repository holds a name with control characters: “%(shown)s”; rename that file.", shown=shown)
            )


def _read(spec: BuildSpec, commit: str, path: str, bench: Bench) -> bytes | None:
    """A module's text; None when there is none, or when it is too large to be looked into."""
    try:
        return bench.git.read_file(spec.mirror, commit, path, limit=contract.MODULE_LIMIT)
    except LimitExceeded:
        return None


def _locate(spec: BuildSpec, bench: Bench) -> tuple[str, str]:
    """The full name and the commit. A commit that a person saw is built even if its tag has moved since."""
    if spec.commit and bench.git.has_commit(spec.mirror, spec.commit):
        bench.output(f"{spec.ref} is commit {spec.commit}, as it was when this build was asked for")
        return spec.ref_full, spec.commit
    bench.output(f"Fetching {spec.repository}")
    bench.git.refresh(spec.mirror, spec.repository, stop=bench.stop)
    if not spec.commit:
        full, commit = bench.git.resolve(spec.mirror, spec.ref)
        bench.output(f"{spec.ref} is commit {commit}")
        return full, commit
    if not bench.git.has_commit(spec.mirror, spec.commit):
        raise RefNotFound(
            say(
                "%(repository)s no longer has commit %(commit)s, which %(ref)s was when this build was asked "
                "for: the ref was moved or removed; read the refs again and build what is there now.",
                repository=spec.repository,
                commit=spec.commit,
                ref=spec.ref,
            )
        )
    return spec.ref_full, spec.commit
