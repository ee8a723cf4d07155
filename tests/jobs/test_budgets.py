"""Budgets of size through the whole job: what warns, what fails, what is told, and what a rebuild needs."""

from __future__ import annotations

import random

import pytest
from django.db import IntegrityError, transaction

from releases import actions
from releases.models import Application, Build, Outcome, Package
from tests import factories
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.jobs.conftest import assert_ended, assert_nothing_left, lines, results, run, typed
from tests.jobs.test_rebase import newer_packages, prepare_anew

NOISE = random.Random(4).randbytes(2_500_000)  # noqa: S311 - the same noise each time
"""2.5 MB that do not become smaller in an archive."""


def large(origin: Origin, tag: str, size: int = len(NOISE)) -> None:
    """A tag whose source weighs more."""
    origin.commit(f"Pictures of {tag}", {"app/pictures.bin": NOISE[:size]})
    origin.git("tag", tag)
    origin.push()


def set_budgets(app: Application, **fields: object) -> None:
    for name, value in fields.items():
        setattr(app, name, value)
    actions.change_application(app, by=None)


def release(app: Application, ref: str = "v1.0.0") -> Build:
    return run(typed(app, ref))


def image_tags(engine: FakeEngine) -> list[str]:
    """Of releases, not of kept environments."""
    tags = [tag for image in engine.tagged("release-portal-") for tag in image.tags]
    return sorted(tag.rpartition(":")[2] for tag in tags if "/" in tag and ":environment-" not in tag)


def test_release_within_its_budgets_says_nothing_of_them(app: Application, engine: FakeEngine, origin: Origin) -> None:
    set_budgets(app, image_budget_mb=3, archive_budget_mb=3, growth_budget=100)
    made = release(app)
    assert_ended(made, Outcome.SUCCEEDED)
    assert made.crossings == []
    assert "over budget" not in " ".join([made.message, *lines(made)]).lower()
    assert made.budgets == {
        "image": {"most": 3_000_000, "policy": "warn"},
        "archive": {"most": 3_000_000, "policy": "warn"},
        "growth": {"most": 100, "policy": "warn"},
    }


def test_release_over_its_budget_succeeds_and_says_by_how_much_and_what_grew(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    set_budgets(app, image_budget_mb=2)
    release(app)
    large(origin, "v2.0.0")
    large(origin, "v2.0.1", 2_400_000)
    first, second = release(app, "v2.0.0"), release(app, "v2.0.1")
    assert_ended(first, Outcome.SUCCEEDED, "image 2.5 MB", "Over budget: image over by 0.5 MB.")
    (crossing,) = first.crossed()
    assert first.image is not None
    assert (crossing.size, crossing.most, crossing.since, crossing.against) == (first.image.size, 2_000_000, 0, 1)
    said = "Warning: The image, 2.5 MB, is 0.5 MB over its budget of 2 MB. It is the first that is over it. "
    assert f"{said}Grown most since #1: the source by 2.5 MB." in lines(first)
    event = first.events.get(verb="budget.crossed")
    assert event.data == {"budget": "image", "policy": "warn", "size": first.image.size, "most": 2_000_000}
    (crossing,) = second.crossed()
    assert crossing.since == 2
    assert "Releases have been over it since #2. It is no larger than #2." in crossing.sentence()


def test_image_over_a_budget_that_must_be_kept_is_never_made(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    release(app)
    large(origin, "v2.0.0")
    set_budgets(app, image_budget_mb=2, image_budget_policy="fail")
    refused = release(app, "v2.0.0")
    assert_ended(
        refused,
        Outcome.FAILED,
        "Over budget, so nothing was released: The image, 2.5 MB, is 0.5 MB over its budget of 2 MB.",
        "Grown most since #1: the source by 2.5 MB.",
        "Make it smaller, or raise the budget in the application's settings and press Rebuild.",
    )
    assert lines(refused)[-2].startswith("Over budget: The image, 2.5 MB, is 0.5 MB over")
    assert results(refused)["package"] == "failed"
    assert "probe" not in results(refused)
    assert (refused.image, refused.artifact is not None) == (None, True)
    assert image_tags(engine) == ["v1.0.0-1"]
    assert_nothing_left(engine)


def test_archive_over_a_budget_that_must_be_kept_is_judged_before_the_image(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    large(origin, "v2.0.0")
    set_budgets(app, archive_budget_mb=2, archive_budget_policy="fail", image_budget_mb=1)
    refused = release(app, "v2.0.0")
    assert_ended(refused, Outcome.FAILED, "app.tar.gz, 2.5 MB, is 0.5 MB over its budget of 2 MB.")
    assert results(refused)["collect"] == "failed"
    assert "package" not in results(refused)
    assert [crossing.budget for crossing in refused.crossed()] == ["archive"]
    assert engine.assembled == []


def test_growth_is_against_the_last_release_and_not_against_what_failed(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    large(origin, "v2.0.0", 1_000_000)
    large(origin, "v2.1.0", 1_300_000)
    large(origin, "v2.2.0", 1_090_000)
    set_budgets(app, growth_budget=10, growth_budget_policy="fail")
    assert_ended(release(app, "v2.0.0"), Outcome.SUCCEEDED)  # nothing to compare the first with
    refused = release(app, "v2.1.0")
    assert_ended(refused, Outcome.FAILED, "% larger than #1, 1.0 MB; 10 % are allowed.", "the source by 0.3 MB")
    assert_ended(release(app, "v2.2.0"), Outcome.SUCCEEDED)


def test_rebuild_after_raising_the_budget_succeeds(app: Application, engine: FakeEngine, origin: Origin) -> None:
    large(origin, "v2.0.0")
    set_budgets(app, image_budget_mb=2, image_budget_policy="fail", archive_budget_mb=2, archive_budget_policy="warn")
    refused = release(app, "v2.0.0")
    assert_ended(refused, Outcome.FAILED)
    assert [crossing.budget for crossing in refused.crossed()] == ["archive", "image"]
    set_budgets(app, image_budget_mb=3)
    again = run(actions.rebuild(refused, by=None))
    assert_ended(again, Outcome.SUCCEEDED, "Over budget: app.tar.gz over by 0.5 MB.")
    assert again.budgets["image"]["most"] == 3_000_000
    refused.refresh_from_db()
    assert refused.budgets["image"]["most"] == 2_000_000


def test_rebase_is_held_to_the_budgets_of_today(app: Application, engine: FakeEngine, origin: Origin) -> None:
    large(origin, "v2.0.0")
    made = release(app, "v2.0.0")
    prepare_anew()
    set_budgets(app, image_budget_mb=2, image_budget_policy="fail")
    refused = run(actions.request_rebase(made, by=None))
    assert_ended(refused, Outcome.FAILED, "The image, 2.5 MB, is 0.5 MB over", "and rebase #1 again")
    assert results(refused)["package"] == "failed"
    set_budgets(app, image_budget_policy="warn", archive_budget_mb=2)
    newer_packages(engine)
    warned = run(actions.request_rebase(Build.objects.get(pk=made.pk), by=None))
    assert_ended(warned, Outcome.SUCCEEDED, "app.tar.gz over by 0.5 MB, image over by 0.5 MB.")
    assert [crossing.against for crossing in warned.crossed()] == [1, 1]


def test_what_is_judged_is_what_is_recorded(app: Application, engine: FakeEngine, origin: Origin) -> None:
    """The size that is judged before the image is made is the size that the engine then tells."""
    large(origin, "v2.0.0")
    set_budgets(app, image_budget_mb=1)
    made = release(app, "v2.0.0")
    assert made.image is not None
    assert made.crossed()[0].size == made.image.size
    assert Package.objects.filter(build=made).exists()


def test_database_refuses_a_release_over_a_budget_that_must_be_kept(app: Application) -> None:
    image = factories.succeeded_build(app).image
    assert image is not None
    image.pk = None
    image.save()
    made = factories.running_build(app)
    made.note(artifact=image.artifact, image=image, crossings=[{"budget": "image", "policy": "fail"}])
    made.mark_packaging()
    made.mark_probing()
    with pytest.raises(IntegrityError, match="build_succeeded_means_budgets_kept"):
        made.mark_succeeded("Released.")


@pytest.mark.parametrize(
    "fields",
    [{"image_budget_mb": 0}, {"archive_budget_mb": -1}, {"growth_budget": 1001}, {"image_budget_policy": "nag"}],
)
def test_database_refuses_budgets_that_make_no_sense(app: Application, fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="application_"), transaction.atomic():
        Application.objects.filter(pk=app.pk).update(**fields)
