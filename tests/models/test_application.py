"""What an application may be called and set to."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from releases.models import Application
from releases.specs import Limits
from tests import factories

pytestmark = pytest.mark.django_db

GOOD = {"name": "fruit-shop", "repository": "https://git.example.org/shop.git", "stack": "python3.13-uwsgi"}
ODD: dict[str, list[str]] = {
    "name": ["", "-shop", "shop-", "Fruit", "fruit_shop", "a/b", "shop\n", "x" * 63, "fruit shop", "ñandú"],
    "directory": ["", "/app", "../app", "app/..", "app/../x", "-app", "app\n", "app//x", "a b", "~/x\0"],
    "module": ["", "app.", ".app", "1app", "app:app", "app app", "app\n", "os;system"],
    "callable": ["", "app()", "app.app", "1", "app\n"],
    "requirements": ["", "/etc/passwd", "../r.txt", "-r", "a/../b", "r.txt\n", "$(x)"],
    "probe_path": ["", "health", "//\n", "/a b", "/a\r\nHost: x", "/#x", "/ñ"],
    "probe_policy": ["", "sometimes"],
}
FINE: dict[str, list[str]] = {
    "name": ["a", "9", "fruit-shop", "x" * 62],
    "directory": [".", "app", "src/shop", "web-1/app_2", ".hidden"],
    "module": ["app", "shop.wsgi", "_private.x1"],
    "callable": ["app", "application", "_make"],
    "requirements": ["requirements.txt", "deps/prod.txt", "my deps/all.txt"],
    "probe_path": ["/", "/health", "/a/b?c=d&e=%20"],
    "probe_policy": ["off", "record", "required"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ODD.items() for value in values])
def test_odd_value_is_refused_beside_its_field(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Application(**{**GOOD, field: value}).full_clean()
    assert list(refused.value.message_dict) == [field]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in FINE.items() for value in values])
def test_plain_value_is_taken(field: str, value: str) -> None:
    Application(**{**GOOD, field: value}).full_clean()


def test_defaults_are_the_contract_of_the_origin() -> None:
    app = Application(**GOOD)
    assert (app.directory, app.entry_point, app.requirements, app.probe_path) == (
        "app",
        "app:app",
        "requirements.txt",
        "/",
    )


def test_limits_are_the_sites_but_for_what_the_application_sets() -> None:
    app = factories.application(memory_mb=256, seconds=60)
    limits = app.limits(Limits(cpus=3.0, pids=99))
    assert limits == Limits(memory=256 * 1024 * 1024, cpus=3.0, pids=99, seconds=60)


def test_refs_are_being_read_from_the_asking_to_the_reading() -> None:
    app = factories.application()
    assert not app.refs_are_being_read
    app.refs_asked_at = timezone.now()
    assert app.refs_are_being_read
    app.refs_read_at = timezone.now()
    assert not app.refs_are_being_read
