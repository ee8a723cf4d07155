"""`manage.py invent`: rows that hold every promise of the database, that say what they are, and that refuse to mix."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db.models import Count, Q

from releases.models import Application, Build, Event, Outcome, Package, Ref, State, Step
from tests import factories
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)


def test_invents_what_was_asked_for_and_says_that_it_is_invented(run: Run) -> None:
    said = run("invent", "--applications", "20", "--builds", "300", "--active", "3")
    assert said.code == 0, said.err
    assert said.out.startswith("Invented 20 applications with 300 builds in ")
    assert (Application.objects.count(), Build.objects.count(), Build.objects.active().count()) == (20, 300, 3)
    assert not Application.objects.exclude(name__startswith="invented-").exists()
    assert not Application.objects.exclude(repository__startswith="https://invented.invalid/").exists()
    assert not User.objects.filter(is_active=True).exists()
    assert not Build.objects.finished().exclude(message__startswith="Invented").exists()
    assert not Event.objects.exclude(data__invented=True).exists()


def test_invented_builds_look_like_those_that_are_made(run: Run) -> None:
    assert run("invent", "--applications", "10", "--builds", "500", "--active", "1").code == 0
    good = Build.objects.succeeded()
    assert 0.7 < good.count() / 500 < 0.95
    assert Build.objects.filter(outcome=Outcome.FAILED).exists()
    assert Build.objects.exclude(rebase_of=None).exists()
    assert Build.objects.exclude(retry_of=None).exists()
    assert {build.steps.count() for build in good[:20]} == {5}
    assert 8 <= Package.objects.filter(build__in=good).count() / good.count() <= 11
    assert Package.objects.filter(known_as="flask").exists()
    assert Step.objects.exclude(result="succeeded").exists()
    assert Ref.objects.filter(kind="tag").exists()
    times = list(Build.objects.order_by("pk").values_list("created_at", flat=True))
    assert times == sorted(times)
    numbers = Application.objects.annotate(n=Count("builds")).filter(~Q(n=0)).values_list("name", "n")
    assert all(Build.objects.get(application__name=name, number=n) for name, n in numbers)


def test_the_next_build_that_is_asked_for_goes_on_after_the_invented_ones(run: Run) -> None:
    assert run("invent", "--applications", "2", "--builds", "50").code == 0
    build = factories.succeeded_build(Application.objects.first())
    assert build.pk == 51
    assert Build.objects.get(pk=build.pk).state == State.FINISHED


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--builds", "-1"], "write a number from 0 to 5000000, not “-1”"),
        (["--builds", "many"], "write a number from 0 to 5000000, not “many”"),
        (["--applications", "0"], "write a number from 1 to 100000, not “0”"),
    ],
)
def test_nonsense_is_refused(run: Run, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=re.escape(sentence)):  # as a process it ends with 2
        run("invent", *arguments)
    assert not Application.objects.exists()


def test_more_builds_at_work_than_applications_are_refused(run: Run) -> None:
    said = run("invent", "--applications", "2", "--builds", "9", "--active", "3")
    assert said.code == 2
    assert "each needs an application of its own" in said.err
    assert not Application.objects.exists()


def test_real_builds_are_not_mixed_with_invented_ones_unless_told(run: Run) -> None:
    factories.finished_build(factories.application("shop"))
    size = ("--applications", "2", "--builds", "5")
    said = run("invent", *size)
    assert said.code == 2
    assert "The database holds 1 builds that were really made, and invented ones could never be removed" in said.err
    assert Build.objects.count() == 1
    assert run("invent", *size, "--beside-real-builds").code == 0
    assert Build.objects.count() == 6
    said = run("invent", *size, "--beside-real-builds")
    assert said.code == 2
    assert "holds invented applications already" in said.err
