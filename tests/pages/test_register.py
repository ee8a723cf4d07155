"""Registering an application and changing its settings: two facts are enough, and every refusal has its field."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from releases.forms import suggested_name
from releases.models import Application, Event
from tests import factories
from tests.pages.reading import body, see, words

NEW = "/applications/new/"
USUAL = {
    "repository": "https://git.example.org/team/Fruit_Shop.git",
    "name": "",
    "stack": "python3.13-uwsgi",
    "directory": "app",
    "module": "app",
    "callable": "app",
    "requirements": "requirements.txt",
    "probe_path": "/",
    "probe_policy": "record",
    "environment": "",
    "memory_mb": "",
    "cpus": "",
    "pids": "",
    "seconds": "",
    "artifact_mb": "",
}


def beside(page: str, field: str) -> str:
    """What stands in words below a field."""
    part = page[page.index(f'id="about-{field}"') :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", part[part.index(">") + 1 : part.index("</div>")])).strip()


def test_register_with_two_facts(manager: Client) -> None:
    page = body(manager.get(NEW))
    assert "<details open" not in re.sub(r"\s+", " ", page)
    assert re.findall(r'<option value="([^"]*)" selected>', page)[0] == settings.DEFAULT_STACK  # of several
    response = manager.post(NEW, USUAL)
    app = Application.objects.get()
    assert response.headers["Location"] == "/applications/fruit-shop/"
    assert (app.name, app.entry_point, app.environment) == ("fruit-shop", "app:app", {})
    assert app.created_by is not None
    assert app.created_by.username == "marta"
    assert app.refs_are_being_read
    assert Event.objects.filter(verb="application.registered", application=app).exists()


def test_register_with_another_layout(manager: Client) -> None:
    manager.post(
        NEW,
        USUAL
        | {
            "name": "web",
            "directory": "web",
            "module": "main",
            "callable": "application",
            "requirements": "deps/prod.txt",
            "environment": '# for the probe\nGREETING=Hello = world\n\nTWO="a\\nb"\nexport EMPTY=\n',
            "memory_mb": "512",
            "cpus": "0.5",
            "probe_policy": "required",
            "probe_path": "/health",
        },
    )
    app = Application.objects.get()
    assert app.name == "web"
    assert (app.directory, app.entry_point, app.requirements) == ("web", "main:application", "deps/prod.txt")
    assert app.environment == {"GREETING": "Hello = world", "TWO": "a\nb", "EMPTY": ""}
    assert (app.memory_mb, app.cpus, app.pids) == (512, 0.5, None)
    page = body(manager.get("/applications/web/settings/"))
    assert "GREETING=Hello = world" in page
    assert "TWO=&quot;a\\nb&quot;" in page
    assert page.count("<details open") == 3


@pytest.mark.parametrize(
    ("fields", "where", "sentence"),
    [
        ({"repository": ""}, "repository", "This field is required."),
        ({"repository": "-oProxyCommand=x"}, "repository", "may not begin with “-”"),
        ({"repository": "https://marta:secret@git.example.org/a.git"}, "repository", "credentials"),
        ({"repository": "ext::sh -c id"}, "repository", "space"),
        ({"repository": "git://git.example.org/a.git"}, "repository", "The protocol “git” is not allowed here"),
        ({"repository": "/etc"}, "repository", "A plain path is no address"),
        ({"repository": "file:///etc"}, "repository", "file:// repositories are allowed below"),
        ({"repository": "https://git.example.org/a\0b.git"}, "repository", "Null characters are not allowed"),
        ({"repository": "https://git.example.org/" + "a" * 600}, "repository", "at most 500 characters"),
        ({"name": "Fruit Shop"}, "name", "Use lower-case letters"),
        ({"name": "new"}, "name", "an address of the portal itself"),
        ({"repository": "https://git.example.org/…/.git", "name": "!"}, "name", "Use lower-case letters"),
        ({"stack": "cobol"}, "stack", "cobol is not one of the available choices"),
        ({"directory": "../up"}, "directory", "Write a folder inside"),
        ({"directory": "/abs"}, "directory", "Write a folder inside the repository"),
        ({"module": "a-b"}, "module", "as Python would import it"),
        ({"callable": "make()"}, "callable", "the name of the callable alone"),
        ({"requirements": "-r x"}, "requirements", "Write a path inside the repository"),
        ({"probe_path": "health"}, "probe_path", "beginning with a slash"),
        ({"probe_policy": "maybe"}, "probe_policy", "maybe is not one of the available choices"),
        ({"memory_mb": "1"}, "memory_mb", "greater than or equal to 128"),
        ({"cpus": "nan"}, "cpus", "Enter a number"),
        ({"seconds": "many"}, "seconds", "Enter a whole number"),
        ({"environment": "A=1\nnonsense\nB=2\n1C=3\nA=4"}, "environment", "Line 2: write NAME=value"),
        ({"environment": "A=1\nnonsense\nB=2\n1C=3\nA=4"}, "environment", "Line 4: “1C” is no name"),
        ({"environment": "A=1\nnonsense\nB=2\n1C=3\nA=4"}, "environment", "Line 5: A stands in an earlier line"),
        ({"environment": 'A="open'}, "environment", "Line 1: the quotation marks of A do not close"),
    ],
)  # fmt: skip
def test_register_refuses_beside_the_field(manager: Client, fields: dict[str, str], where: str, sentence: str) -> None:
    response = manager.post(NEW, USUAL | fields)
    assert response.status_code == 422
    page = body(response)
    assert "Nothing was saved." in page
    assert sentence in beside(page, where).replace("&#x27;", "'").replace("&quot;", '"')
    assert not Application.objects.exists()
    opening = page[: page.index(f'id="about-{where}"')]
    folds = re.findall(r"<details([^>]*)>|</details>", opening)
    if folds and opening.rfind("<details") > opening.rfind("</details>"):
        assert "open" in folds[-1], "the folded part that holds the refusal must be open"


def test_register_refused_never_repeats_a_password_outside_its_field(manager: Client) -> None:
    response = manager.post(NEW, USUAL | {"repository": "https://marta:hunter2@git.example.org/a.git"})
    assert body(response).count("hunter2") == 1


def test_register_twice_says_that_the_name_is_taken(manager: Client) -> None:
    manager.post(NEW, USUAL)
    response = manager.post(NEW, USUAL)
    assert response.status_code == 422
    assert "already exists" in beside(body(response), "name")
    assert Application.objects.count() == 1


def test_register_at_the_same_moment_says_that_the_name_is_taken(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have passed the check before either has saved: the database decides."""
    factories.application("fruit-shop")
    monkeypatch.setattr(Application, "validate_unique", lambda *_arguments, **_options: None)
    response = manager.post(NEW, USUAL)
    assert response.status_code == 422
    assert "is registered already" in beside(body(response), "name")
    assert Application.objects.count() == 1


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("https://git.example.org/team/Fruit_Shop.git", "fruit-shop"),
        ("git@git.example.org:shop.git", "shop"),
        ("https://git.example.org/team/shop/", "shop"),
        ("https://git.example.org/a%20b", "a-b"),
        ("https://git.example.org/___", ""),
        ("", ""),
    ],
)
def test_suggested_name(repository: str, name: str) -> None:
    assert suggested_name(repository) == name


def test_settings_are_changed_and_recorded(manager: Client) -> None:
    app = factories.application("shop", environment={"TOKEN": "old"})
    fields = USUAL | {"repository": app.repository, "name": "other", "directory": "src", "environment": "TOKEN=new"}
    response = manager.post("/applications/shop/settings/", fields, follow=True)
    assert "The settings of shop are saved; the next build uses them." in words(response)
    app.refresh_from_db()
    assert (app.name, app.directory, app.environment) == ("shop", "src", {"TOKEN": "new"})
    event = Event.objects.get(verb="application.changed")
    assert event.data["directory"] == ["app", "src"]
    assert "new" not in str(event.data)


def test_settings_refused_keep_what_was_typed_and_what_was_saved(manager: Client) -> None:
    app = factories.application("shop")
    fields = USUAL | {"repository": "https://u:p@x.example/y", "directory": "src"}
    response = manager.post("/applications/shop/settings/", fields)
    assert response.status_code == 422
    assert "credentials" in beside(body(response), "repository")
    assert 'value="src"' in body(response)
    app.refresh_from_db()
    assert app.directory == "app"


def test_settings_with_a_stack_that_is_gone_can_still_be_opened(manager: Client) -> None:
    factories.application("shop", stack="python2.7-gone")
    assert "python2.7-gone (cannot be read)" in see(manager, "/applications/shop/settings/")
    response = manager.post("/applications/shop/settings/", USUAL | {"stack": "python2.7-gone"})
    assert "There is no stack python2.7-gone" in beside(body(response), "stack")


def test_settings_values_are_for_those_who_may_act(viewer: Client) -> None:
    factories.application("shop", environment={"TOKEN": "s3cret"})
    assert "s3cret" not in body(viewer.get("/applications/shop/"))
    assert viewer.get("/applications/shop/settings/").status_code == 403


def test_form_names_the_folder_that_local_repositories_are_allowed_in(manager: Client, settings_root: Any) -> None:
    response = manager.post(NEW, USUAL | {"repository": "file:///etc/passwd"})
    assert str(settings_root) in beside(body(response), "repository")


@pytest.fixture
def settings_root(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(settings, "LOCAL_REPOSITORIES", tmp_path)
    return tmp_path
