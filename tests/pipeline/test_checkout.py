"""Which commit a build is of, and what is said when there is none."""

from __future__ import annotations

import pytest

from releases.errors import BuildCancelled, BuildFailed, RefNotFound, SourceUnavailable
from releases.pipeline.bench import Bench
from releases.pipeline.checkout import check_out
from releases.specs import Layout
from tests.git.conftest import Origin
from tests.pipeline import shop


def test_checkout_resolves_a_ref_that_was_typed(bench: Bench, origin: Origin, said: list[str]) -> None:
    found = check_out(shop.spec(origin), bench)
    assert found.commit == origin.git("rev-parse", "v1.0.0")
    assert found.ref_full == "refs/tags/v1.0.0"
    assert (found.files, found.size) == (2, sum(map(len, shop.FILES.values())))
    assert f"v1.0.0 is commit {found.commit}" in said


def test_checkout_takes_the_commit_that_a_person_saw_though_its_tag_moved(bench: Bench, origin: Origin) -> None:
    seen = origin.git("rev-parse", "v1.0.0")
    bench.git.refresh("1.git", origin.url)
    now = shop.move_tag(origin)
    bench.git.refresh("1.git", origin.url)
    assert check_out(shop.spec(origin, commit=seen), bench).commit == seen
    assert check_out(shop.spec(origin), bench).commit == now


def test_checkout_of_a_commit_that_is_there_asks_nobody_outside(bench: Bench, origin: Origin) -> None:
    seen = origin.git("rev-parse", "v1.0.0")
    bench.git.refresh("1.git", origin.url)
    shop.remove(origin)
    assert check_out(shop.spec(origin, commit=seen), bench).commit == seen


def test_checkout_says_that_a_commit_is_gone(bench: Bench, origin: Origin) -> None:
    with pytest.raises(RefNotFound) as caught:
        check_out(shop.spec(origin, commit="ab" * 20), bench)
    assert f"{origin.url} no longer has commit {'ab' * 20}, which v1.0.0 was" in str(caught.value)
    assert "read the refs again" in str(caught.value)


def test_checkout_of_an_unknown_ref_names_those_that_come_close(bench: Bench, origin: Origin) -> None:
    with pytest.raises(RefNotFound, match=r"no tag, branch or commit “v1\.0\.1”: did you mean v1\.0\.0\?"):
        check_out(shop.spec(origin, ref="v1.0.1"), bench)


def test_checkout_of_a_repository_that_is_gone(bench: Bench, origin: Origin) -> None:
    shop.remove(origin)
    with pytest.raises(SourceUnavailable) as caught:
        check_out(shop.spec(origin), bench)
    assert origin.url in str(caught.value)


def test_checkout_stops_when_asked(stopped: Bench, origin: Origin) -> None:
    with pytest.raises(BuildCancelled):
        check_out(shop.spec(origin), stopped)


def test_checkout_names_the_ref_that_breaks_the_contract(bench: Bench, origin: Origin) -> None:
    with pytest.raises(BuildFailed, match=r"v1\.0\.0 \([0-9a-f]{7}\) does not keep the contract: there is no deps"):
        check_out(shop.spec(origin, layout=Layout(requirements="deps.txt")), bench)


def test_checkout_takes_a_link_to_a_requirements_file(bench: Bench, origin: Origin) -> None:
    (origin.work / "requirements.txt").unlink()
    (origin.work / "requirements.txt").symlink_to("deps/prod.txt")
    origin.commit("Keep requirements apart", {"deps/prod.txt": b"Flask\n"})
    origin.push()
    assert check_out(shop.spec(origin, ref="main"), bench).files == 3


def test_checkout_leaves_a_huge_module_to_the_probe(bench: Bench, origin: Origin) -> None:
    origin.commit("Grow", {"app/app.py": b"# a comment\n" * 200_000})
    origin.push()
    assert check_out(shop.spec(origin, ref="main"), bench).size > 2_000_000
