"""Who reads Spanish reads all of it in Spanish; what programs read stays English."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import reverse

from releases.errors import grouped, say
from releases.models import Application, Build, Outcome
from releases.views import failure
from tests import factories
from tests.pages.reading import body, see, source, words

SPANISH = {"Accept-Language": "es-ES,es;q=0.9,en;q=0.5"}
LIMIT = "%(path)s has %(size)s bytes and %(limit)s are allowed: make the application smaller or raise the limit."


@pytest.fixture
def lector(db: None) -> Client:
    """A release manager whose browser asks for Spanish."""
    client = Client(headers=SPANISH)
    client.force_login(factories.user(username="lucia", first_name="Lucía", last_name="Gil"))
    return client


@pytest.mark.django_db
def test_browser_chooses_the_language(client: Client) -> None:
    address = reverse("login")
    assert '<html lang="en">' in body(client.get(address))
    spanish = client.get(address, headers=SPANISH)
    assert '<html lang="es">' in body(spanish)
    assert "Contraseña" in words(spanish)
    assert '<html lang="en">' in body(client.get(address, headers={"Accept-Language": "fr"}))


@pytest.mark.django_db
def test_switch_chooses_the_language_and_leads_back(client: Client) -> None:
    page = f"{reverse('login')}?next=/history/"
    assert 'name="language" value="es"' in source(client.get(page))
    response = client.post(reverse("set_language"), {"language": "es", "next": page}, follow=True)
    assert response.redirect_chain == [(page, 302)]
    assert "Entrar" in words(response)
    assert "Entrar" in see(client, page)  # the choice is kept
    client.post(reverse("set_language"), {"language": "en", "next": page})
    assert "Sign in" in words(client.get(page, headers=SPANISH))  # and it is worth more than what the browser asks for


def test_switch_stands_in_the_menu_of_each_page_and_names_the_page(manager: Client) -> None:
    page = source(manager.get(reverse("history") + "?ref=v1"))
    assert 'name="next" value="/history/?ref=v1"' in page
    assert re.search(r'value="en" lang="en" aria-pressed="true">English', page)
    assert re.search(r'value="es" lang="es" aria-pressed="false">Español', page)


def test_sizes_and_times_have_the_comma_of_the_language(lector: Client) -> None:
    build = factories.succeeded_build(factories.application("shop"))
    page = see(lector, build.get_absolute_url())
    assert "43,2 MB" in page
    assert "20,1 s" in page
    assert "43.2" not in page


def test_pictures_are_drawn_alike_in_each_language(lector: Client, manager: Client) -> None:
    app = factories.application("shop")
    for number in range(3):
        build = factories.succeeded_build(app, size=42_000_000 + 100_000 * number)
    for address in ("/", app.get_absolute_url(), build.get_absolute_url()):
        english, spanish = (drawn(body(client.get(address))) for client in (manager, lector))
        assert english == spanish, address


def drawn(page: str) -> list[str]:
    """Every place and length of every picture."""
    shapes = re.findall(r"<(?:rect|line|circle|polyline|path|text|svg)\b[^>]*>", page)
    return [
        value
        for shape in shapes
        for value in re.findall(r'\b(?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|points|viewBox)="([^"]*)"', shape)
    ]


def test_message_of_a_worker_is_told_in_the_readers_language(lector: Client, manager: Client) -> None:
    message = say(LIMIT, path="app.tar.gz", size=grouped(1234567), limit=grouped(1000000))
    build = factories.finished_build(factories.application("shop"), Outcome.FAILED, message)
    assert build.message == message == Build.objects.get().message
    assert "app.tar.gz has 1,234,567 bytes and 1,000,000 are allowed" in see(manager, build.get_absolute_url())
    page = see(lector, build.get_absolute_url())
    assert "app.tar.gz tiene 1 234 567 bytes y se permiten" in page
    assert "are allowed" not in page
    assert "are allowed" not in see(lector, reverse("home"))


def test_message_of_an_old_row_is_shown_as_it_was_written(lector: Client) -> None:
    build = factories.finished_build(factories.application("shop"), Outcome.FAILED, "No requirements.txt: add it.")
    assert "No requirements.txt: add it." in see(lector, build.get_absolute_url())


def test_refusal_of_an_action_is_told_in_the_readers_language(lector: Client) -> None:
    fields = {
        "repository": "/somewhere",
        "stack": "python3.13-uwsgi",
        "directory": "app",
        "module": "app",
        "callable": "app",
        "requirements": "requirements.txt",
        "probe_policy": "record",
        "probe_path": "/",
    }
    response = lector.post(reverse("application-register"), {**fields, "name": "shop", "environment": "1A=b"})
    assert response.status_code == 422
    assert "Línea 1: «1A» no sirve como nombre de una variable de entorno" in words(response)
    response = lector.post(reverse("application-register"), {**fields, "name": "shop"})
    assert "Una ruta sola no es la dirección" in words(response)
    assert not Application.objects.exists()


def test_answer_to_a_second_click_is_told_in_the_readers_language(lector: Client) -> None:
    app = factories.application("shop")
    tag = factories.ref(app, "v1.0.0")
    factories.queued_build(app, ref=tag)
    given = {"ref": tag.full_name, "commit": tag.commit}
    response = lector.post(reverse("build-create", args=["shop"]), given, follow=True)
    assert "v1.0.0 de shop ya se está compilando, como #1." in words(response)


def test_refs_that_could_not_be_read_are_explained_in_the_readers_language(lector: Client) -> None:
    app = factories.application("shop")
    app.note_refs_error(say("There is no git repository at %(url)s: check the address.", url="https://x.example/a"))
    page = see(lector, app.get_absolute_url())
    assert "No hay ningún repositorio git en https://x.example/a: comprueba la dirección." in page


@pytest.mark.parametrize(("status", "address", "says"), [(404, "/nowhere", "No hay nada en esta dirección.")])
def test_error_page_speaks_the_readers_language(lector: Client, status: int, address: str, says: str) -> None:
    assert says in see(lector, address, status)


@pytest.mark.django_db
def test_request_that_cannot_be_read_is_refused_in_the_readers_language(client: Client) -> None:
    response = client.get("/", headers={**SPANISH, "Host": "elsewhere.example"})
    assert (response.status_code, '<html lang="es">' in body(response)) == (400, True)
    assert "El portal no ha podido leer esta petición" in words(response)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (OperationalError("away"), 503, "La base de datos no responde"),
        (RuntimeError("defect"), 500, "Esta página no se ha podido hacer."),
    ],
)
def test_failure_speaks_the_readers_language_without_any_middleware(error: Exception, status: int, says: str) -> None:
    try:
        raise error
    except (OperationalError, RuntimeError):
        response = failure.show(RequestFactory().get("/", headers=SPANISH))
    assert (response.status_code, '<html lang="es">' in body(response)) == (status, True)
    assert says in words(response)


def test_what_programs_read_is_english(lector: Client, manager: Client) -> None:
    factories.succeeded_build(factories.application("shop"))
    message = say(LIMIT, path="app.tar.gz", size=grouped(1234567), limit=grouped(1000000))
    factories.finished_build(factories.application("stand"), Outcome.FAILED, message)
    for address in ("/history/?format=csv", "/history/?format=json", "/healthz"):
        english, spanish = (body(client.get(address)) for client in (manager, lector))
        assert english == spanish, address
    assert "the portal" in body(lector.get("/history/?format=csv"))


def test_admin_speaks_the_readers_language(lector: Client) -> None:
    admin = Client(headers=SPANISH)
    admin.force_login(factories.user(username="admin", is_staff=True, is_superuser=True))
    message = say(LIMIT, path="app.tar.gz", size=grouped(1234567), limit=grouped(1000000))
    factories.finished_build(factories.application("shop"), Outcome.FAILED, message)
    assert "Todos los registros" in see(admin, reverse("admin:index"))
    page = see(admin, reverse("admin:releases_build_changelist"))
    assert "Seleccione compilación" in page
    assert "app.tar.gz tiene 1 234 567 bytes" in page


def test_times_are_told_in_the_readers_language(lector: Client) -> None:
    app = factories.application("shop")
    factories.ref(app, "v1.0.0", age=timedelta(hours=3, minutes=5))
    factories.ref(app, "v0.9.0", age=timedelta(days=400))
    page = see(lector, app.get_absolute_url())
    assert "hace 3 horas" in page
    assert re.search(r"\b\d+ (ene|feb|mar|abr|mayo|jun|jul|ago|sept?|oct|nov|dic)\w*\.? \d{4}", page, re.IGNORECASE)
