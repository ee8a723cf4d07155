"""The stacks: what is in them, their images, the door to prepare them, and a broken one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from releases.models import Preparation
from releases.specs import StackImages
from releases.stacks import stack as stacks
from releases.storage import LogWriter, preparation_log_path
from tests import factories
from tests.pages.reading import body, filled_buttons, see, words

NAME = "python3.13-uwsgi"
PAGE = f"/stacks/{NAME}/"
IMAGES = StackImages(
    builder_id=f"sha256:{factories.sha256('builder')}", builder_size=388_014_592,
    runner_id=f"sha256:{factories.sha256('runner')}", runner_size=41_000_000,
    base_id=f"sha256:{factories.sha256('base')}", digest="",
)  # fmt: skip


@pytest.fixture
def own_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the site's own, with one good stack and one that is broken."""
    shipped = Path(settings.BASE_DIR) / "releases" / "stacks" / NAME
    shutil.copytree(shipped, tmp_path / "site-python")
    shutil.copytree(shipped, tmp_path / "broken")
    (tmp_path / "broken" / "builder" / "build.sh").unlink()
    (tmp_path / "site-python" / "runner" / "logo.bin").write_bytes(b"\xff\x00\x01")
    monkeypatch.setattr(settings, "STACK_DIRS", (*settings.STACK_DIRS, tmp_path))
    return tmp_path


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LOGS_DIR", tmp_path / "logs")


def preparation() -> Preparation:
    return Preparation.objects.request(NAME, stacks.load(NAME).digest, by=factories.user(username="ana"))


def test_stacks_lists_each_and_says_what_is_wrong_with_one(viewer: Client, own_stacks: Path) -> None:
    page = see(viewer, "/stacks/")
    assert f"Python 3.13 with uWSGI {NAME}" in page
    assert "Not prepared yet" in page
    assert "site-python" in page
    assert "broken Broken The stack broken has no file builder/build.sh: add it" in page


def test_stacks_without_their_folder_says_so(manager: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STACK_DIRS", (tmp_path / "gone",))
    assert "is not there: create it, or take it out of PORTAL_STACKS." in see(manager, "/stacks/")
    assert "This stack cannot be used." in see(manager, PAGE)
    assert manager.get("/applications/new/").status_code == 200


def test_stack_shows_its_files_and_who_uses_it(manager: Client, own_stacks: Path) -> None:
    factories.application("shop", stack="site-python")
    page = see(manager, "/stacks/site-python/")
    assert "builder/Dockerfile" in page
    assert "FROM debian:trixie-slim" in page
    assert "runner/logo.bin 3 bytes This file is no text." in page
    assert "Used by shop" in page
    assert filled_buttons(body(manager.get("/stacks/site-python/"))) == ["Prepare"]


def test_stack_that_is_broken_cannot_be_prepared(manager: Client, own_stacks: Path) -> None:
    page = see(manager, "/stacks/broken/")
    assert "This stack cannot be used. The stack broken has no file builder/build.sh" in page
    assert "Prepare" not in page
    response = manager.post("/stacks/broken/prepare/", follow=True)
    assert "has no file builder/build.sh" in words(response)
    assert not Preparation.objects.exists()


def test_stack_prepare_asks_once(manager: Client) -> None:
    response = manager.post(f"{PAGE}prepare/", follow=True)
    assert "Last preparation Queued" in words(response)
    assert "hx-trigger" in body(response)
    response = manager.post(f"{PAGE}prepare/", follow=True)
    assert f"The stack {NAME} is being prepared already." in words(response)
    assert Preparation.objects.count() == 1


def test_stack_is_prepared_anew_when_it_was_prepared(manager: Client) -> None:
    assert "Prepare runtime anew" not in see(manager, PAGE)
    made = preparation()
    assert made.take_up()
    made.mark_succeeded(IMAGES, "Builder 388 MB, runner 41 MB.")
    html = body(manager.get(PAGE))
    assert "Prepare runtime anew" in html
    assert "takes about a minute. The next releases stand on it. Existing releases stay as they are until" in html
    assert "make their environments again, because their builder has changed." in html
    response = manager.post(f"{PAGE}prepare/", {"anew": "runner"}, follow=True)
    assert "Last preparation Queued runtime anew," in words(response)
    assert "Prepare both anew" not in words(response)
    assert Preparation.objects.live().get().anew == "runner"


def test_stack_prepared_anew_refuses_a_word_that_it_does_not_know(manager: Client) -> None:
    response = manager.post(f"{PAGE}prepare/", {"anew": "everything"}, follow=True)
    assert "“everything” cannot be made anew: choose runner or both." in words(response)
    assert not Preparation.objects.exists()


def test_stack_names_the_last_releases_on_an_older_runtime(viewer: Client) -> None:
    shop, other = factories.application("shop"), factories.application("other")
    for app in (shop, shop, other):
        factories.succeeded_build(app, runner="old")
    factories.prepared("old")
    assert "On an older runtime" not in see(viewer, PAGE)
    factories.prepared("new")
    factories.succeeded_build(other, runner="new")
    assert "On an older runtime last releases, to be rebased on their pages shop #2 Last" in see(viewer, PAGE)
    assert "Prepare" not in see(viewer, PAGE).replace("Last preparation", "").split("Files")[0]


def test_stack_shows_images_when_prepared(viewer: Client) -> None:
    made = preparation()
    assert made.take_up()
    made.mark_succeeded(IMAGES, "Builder 388 MB, runner 41 MB.")
    page = see(viewer, PAGE)
    assert f"Builder {IMAGES.builder_id[7:19]}" in page
    assert "388 MB" in page
    assert "Runner, without an application" in page
    assert "Last preparation Succeeded ana" in page
    assert "hx-trigger" not in body(viewer.get(PAGE))


def test_stack_says_when_its_files_changed_since(manager: Client, own_stacks: Path) -> None:
    made = Preparation.objects.request("site-python", stacks.load("site-python").digest, by=None)
    assert made.take_up()
    made.mark_succeeded(IMAGES, "Done.")
    assert "changed since then" not in see(manager, "/stacks/site-python/")
    (own_stacks / "site-python" / "runner" / "app.ini").write_text("[uwsgi]\n")
    page = see(manager, "/stacks/site-python/")
    assert "The files of the stack have changed since then." in page
    assert "Not prepared yet" in page


def test_stack_says_why_preparing_failed(manager: Client) -> None:
    made = preparation()
    assert made.take_up()
    made.mark_failed("The image debian:trixie-slim could not be pulled: no route to the registry.")
    assert "Last preparation Failed ana" in see(manager, PAGE)
    assert "could not be pulled: no route to the registry." in see(manager, PAGE)


def test_stack_log_is_read_piece_by_piece(viewer: Client, logs: None) -> None:
    assert "has not been prepared yet" in see(viewer, f"{PAGE}log", 404)
    made = preparation()
    assert made.take_up()
    with LogWriter(preparation_log_path(made.pk)) as log:
        log.line("Step 1/9 : FROM debian:trixie-slim")
    response = viewer.get(f"{PAGE}log?offset=0")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Step 1/9" in body(response)
    assert "X-Log-Done" not in response.headers
    following = response.headers["X-Next-Offset"]
    made.mark_failed("No.")
    response = viewer.get(f"{PAGE}log?offset={following}&preparation={made.pk}")
    assert body(response) == ""
    assert response.headers["X-Log-Done"] == "1"
