"""Previews and preparations: their verbs, and who may be first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from releases.errors import IllegalTransition
from releases.models import Event, Preparation, PreparationState, Preview, PreviewState, Workshop
from releases.specs import StackImages
from tests import factories

pytestmark = pytest.mark.django_db

ID = f"sha256:{'a' * 64}"
IMAGES = StackImages(builder_id=ID, builder_size=5, runner_id=ID, runner_size=3, base_id=ID, digest="d" * 64)


def run(preview: Preview) -> None:
    preview.mark_running(address="127.0.0.1:32768", status=200, seconds=0.4, body="Welcome", message="It answers.")


VERBS: dict[str, Callable[[Preview], object]] = {
    "run": run,
    "stopping": lambda preview: preview.mark_stopping(by=None),
    "stopped": lambda preview: preview.mark_stopped("Stopped."),
    "failed": lambda preview: preview.mark_failed("It ended by itself."),
}
LIVE = {PreviewState.ASKED, PreviewState.RUNNING, PreviewState.STOPPING}
ALLOWED = {
    "run": {PreviewState.ASKED},
    "stopping": {PreviewState.ASKED, PreviewState.RUNNING},
    "stopped": LIVE,
    "failed": LIVE,
}


def preview_in(state: PreviewState) -> Preview:
    preview = Preview.objects.create(build=factories.succeeded_build())
    way = {PreviewState.RUNNING: "run", PreviewState.STOPPING: "stopping", PreviewState.STOPPED: "stopped"}
    if state != PreviewState.ASKED:
        VERBS[way.get(state, "failed")](preview)
    assert preview.state == state
    return preview


@pytest.mark.parametrize("state", PreviewState)
@pytest.mark.parametrize("verb", VERBS)
def test_preview_moves_only_where_the_verb_allows(verb: str, state: PreviewState) -> None:
    preview = preview_in(state)
    if state in ALLOWED[verb]:
        VERBS[verb](preview)
        assert preview.state != state or verb == state
        return
    before = Preview.objects.values().get(pk=preview.pk)
    with pytest.raises(IllegalTransition):
        VERBS[verb](preview)
    assert Preview.objects.values().get(pk=preview.pk) == before


def test_running_preview_ends_by_itself() -> None:
    preview = preview_in(PreviewState.RUNNING)
    assert preview.ends_at is not None
    assert not Preview.objects.to_be_stopped().exists()
    Preview.objects.filter(pk=preview.pk).update(ends_at=timezone.now() - timedelta(seconds=1))
    assert list(Preview.objects.to_be_stopped()) == [preview]


def test_preview_that_somebody_stops_is_to_be_stopped() -> None:
    preview = preview_in(PreviewState.STOPPING)
    assert list(Preview.objects.to_be_stopped()) == [preview]
    preview.mark_stopped("Stopped by marta.")
    assert not Preview.objects.live().exists()
    verbs = list(Event.objects.filter(verb__startswith="preview.").values_list("verb", flat=True))
    assert verbs == ["preview.stopped", "preview.stop_asked"]


def test_preview_that_never_answered_has_no_status() -> None:
    preview = preview_in(PreviewState.ASKED)
    preview.mark_running(address="127.0.0.1:1", status=0, seconds=30.0, body="", message="No answer within 30 s.")
    assert (preview.answer_status, preview.answer_seconds) == (None, None)


# ---- preparations ------------------------------------------------------------------------------------------


def preparation() -> Preparation:
    return Preparation.objects.request("python3.13-uwsgi", "d" * 64, by=None)


def test_preparation_goes_from_queued_to_its_images() -> None:
    row = preparation()
    assert row.take_up()
    row.renew_lease()
    row.mark_succeeded(IMAGES, "Prepared.")
    assert (row.state, row.builder_image, row.runner_size) == (PreparationState.SUCCEEDED, ID, 3)
    assert Preparation.objects.latest_success("python3.13-uwsgi", "d" * 64) == row
    assert Event.objects.filter(verb__in=["stack.prepare_asked", "stack.succeeded"]).count() == 2


def test_preparation_is_taken_up_once() -> None:
    row = preparation()
    rival = Preparation.objects.get(pk=row.pk)
    assert row.take_up()
    assert not rival.take_up()


def test_preparation_that_is_over_stays_over() -> None:
    row = preparation()
    row.mark_failed("No space is left.")
    for late in (row.renew_lease, lambda: row.mark_failed("again"), lambda: row.mark_succeeded(IMAGES, "Prepared.")):
        with pytest.raises(IllegalTransition):
            late()
    assert Preparation.objects.get(pk=row.pk).message == "No space is left."
    assert not Preparation.objects.live().exists()


def test_preparation_whose_worker_is_gone_is_found() -> None:
    row = preparation()
    row.take_up()
    assert not Preparation.objects.lease_ran_out().exists()
    Preparation.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert list(Preparation.objects.lease_ran_out()) == [row]


# ---- the workshop ------------------------------------------------------------------------------------------


def report(repaired: int = 0) -> Workshop:
    Workshop.objects.report(
        engine_answers=True, engine="20.10", engine_problem="", disk_free=5, disk_total=10, repaired=repaired
    )
    seen = Workshop.objects.seen()
    assert seen is not None
    return seen


def test_workshop_is_one_row_that_counts_repairs() -> None:
    assert Workshop.objects.seen() is None
    assert report(repaired=2).is_fresh
    assert report(repaired=1).repairs == 3
    assert Workshop.objects.count() == 1


def test_workshop_that_nobody_looked_at_lately_is_stale(settings: object) -> None:
    report()
    Workshop.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
    seen = Workshop.objects.seen()
    assert seen is not None
    assert not seen.is_fresh
