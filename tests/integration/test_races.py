"""Two things happen at once: each decided race is forced, in both orders where there are two.

Races inside one module are forced beside it; docs/reference/races.md names them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api import create_app
from orchestrator import dispatch, endings, submissions
from orchestrator.errors import (
    Conflict,
    NotFound,
    ProviderAmbiguous,
    ProviderRejected,
    ProviderTransient,
)
from orchestrator.providers import Walk
from orchestrator.records import Video
from orchestrator.steps import poll, store, submit
from orchestrator.wishes import IdempotencyKey, VideoRequest
from tests.api_client import client
from tests.core import race
from tests.rig import ANN, GRACE, MakeRig, Rig, lost

KEY = IdempotencyKey("k", "POST /api/videos")
WISH = VideoRequest(prompt="a red kite")


# Cancel and delete.


def test_cancel_during_the_look_that_finds_the_attempt(rig: Rig) -> None:
    """The list was read, nothing is adopted yet: cancelled and released, and what is found belongs
    to nobody who waits.
    """
    video = lost(rig)

    def walk() -> Walk:
        endings.cancel(rig.ctx, ANN, video.id)
        return rig.upstream.listing()

    rig.upstream.script("walk", walk)
    rig.clean_look()

    (attempt,) = rig.attempts(video)
    assert ("cancelled", "released") == (rig.video(video).status, rig.video(video).quota_state)
    assert ("accepted", True) == (attempt.state, attempt.detached)


def test_cancel_after_the_attempt_was_found(rig: Rig) -> None:
    """The provider is known to be at work: the count stays until that has ended."""
    video = lost(rig)
    rig.clean_look()

    cancelled = endings.cancel(rig.ctx, ANN, video.id)

    (attempt,) = rig.attempts(video)
    assert ("cancelled", "reserved") == (cancelled.status, cancelled.quota_state)
    assert ("accepted", True) == (attempt.state, attempt.detached)


def test_cancel_racing_the_adoption_is_in_one_of_both_orders(rig: Rig) -> None:
    """At the same moment: cancelled in any case, the attempt watched, the quota as the order
    says.
    """
    for _ in range(8):
        video = lost(rig)
        rig.pass_time(GRACE + 1)

        race(lambda: endings.cancel(rig.ctx, ANN, video.id), rig.reconcile)  # noqa: B023
        rig.pass_time(GRACE + 1)
        rig.reconcile()  # what was locked at that moment was left to the next look

        (attempt,) = rig.attempts(video)
        ended = rig.video(video)
        adopted_first = "reserved" == ended.quota_state
        started = {"from": "queued", "to": "in_progress"} if adopted_first else None
        assert ("cancelled", "accepted", True) == (ended.status, attempt.state, attempt.detached)
        assert adopted_first or "released" == ended.quota_state
        assert started == rig.sql(
            "select event_data from video_events where video_id = :id "
            "and event_data ->> 'to' = 'in_progress'",
            id=video.id,
        )


def test_delete_racing_completion_deletes_and_keeps_the_count(rig: Rig) -> None:
    """At the same moment: deleted either way, after one end, and the provider had finished it."""
    for _ in range(6):
        video = rig.generated()
        rig.due(video)

        deleted, _ = race(
            lambda: endings.delete(rig.ctx, ANN, video.id),  # noqa: B023
            lambda: store.store(rig.ctx, video.id),  # noqa: B023
        )

        ended = rig.video(video)
        told = [name for name in rig.events(video) if name in {"completed", "cancelled", "deleted"}]
        assert not isinstance(deleted, Exception)
        assert ("deleted", "kept") == (ended.status, ended.quota_state)
        assert told in (["completed", "deleted"], ["cancelled", "deleted"])


def test_cancel_racing_delete_ends_it_once(rig: Rig) -> None:
    """Cancelled, then deleted; or deleted, and then there is nothing to cancel."""
    for _ in range(6):
        video = rig.submitted()

        cancelled, deleted = race(
            lambda: endings.cancel(rig.ctx, ANN, video.id),  # noqa: B023
            lambda: endings.delete(rig.ctx, ANN, video.id),  # noqa: B023
        )

        assert not isinstance(deleted, Exception)
        assert isinstance(cancelled, Video | NotFound)
        told = [name for name in rig.events(video) if name in {"cancelled", "deleted"}]
        assert ["cancelled", "deleted"] == told


# Clocks.


def test_start_timeout_waits_for_a_look_when_we_were_down(make_rig: MakeRig) -> None:
    """Everything of ours stood still for a day; the provider has made the video meanwhile: it is
    looked for before anybody says that it is too late.
    """
    rig = make_rig()
    video = lost(rig)
    rig.upstream.becomes("up_1", "completed")
    rig.pass_time(25 * 3600)

    swept = dispatch.sweep(rig.ctx)
    waiting = rig.video(video).status
    rig.reconcile()
    rig.look(video)
    rig.store(video)

    assert (0, "queued", "completed") == (swept.expired, waiting, rig.video(video).status)
    assert 1 == rig.upstream.count("create")


def test_start_timeout_racing_the_look_leaves_one_winner(make_rig: MakeRig) -> None:
    """A look finds the attempt while the sweep gives the video up: it runs, or it has failed and
    what was found is watched.
    """
    rig = make_rig(start_timeout_seconds=3600)
    seen = set()
    for _ in range(8):
        video = lost(rig)
        rig.pass_time(3601)
        rig.upstream.script("walk", ProviderTransient("Away."))
        rig.reconcile()
        rig.sql(
            "update attempts set due_at = now() + interval '1 millisecond' where due_at > now()"
        )

        race(rig.reconcile, lambda: dispatch.sweep(rig.ctx))
        rig.sql("update attempts set due_at = now() where state = 'unknown'")
        rig.reconcile()

        (attempt,) = rig.attempts(video)
        ended = rig.video(video)
        seen.add((ended.status, ended.quota_state, attempt.state, attempt.detached))
    assert seen <= {
        ("in_progress", "reserved", "accepted", False),
        ("failed", "released", "accepted", True),
    }


@pytest.mark.parametrize("finished", [True, False])
def test_deadline_that_passed_while_we_were_down_is_decided_by_a_look(
    rig: Rig, finished: bool
) -> None:
    """A video that was finished in time is fetched; one that still runs has failed."""
    video = rig.submitted()
    if finished:
        rig.upstream.becomes(rig.upstream_id(video), "completed")
    rig.pass_time(25 * 3600)

    dispatch.sweep(rig.ctx)
    before = rig.video(video).status
    rig.look(video)
    if finished:
        rig.store(video)

    after = rig.video(video)
    expected = ("completed", None) if finished else ("failed", "timeout")
    assert ("in_progress", expected) == (before, (after.status, after.error_code))


# The provider.


def test_provider_that_forgets_everything_is_paid_once_for_each(rig: Rig) -> None:
    """What it had accepted is lost and not asked for again; what was of unknown outcome is sent
    again.
    """
    running, unknown = rig.submitted("running"), lost(rig, "unknown")
    rig.upstream.videos.clear()
    for number in range(2):
        rig.upstream.has(id=f"new_{number}", canonical_id=f"new_{number}", prompt="of others")

    rig.look(running)
    rig.pass_time(301)
    rig.look(running)
    rig.reconcile()
    rig.clean_look()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, unknown.id)
    submit.submit(rig.ctx, running.id)

    gone = rig.video(running)
    assert ("failed", "lost", "released") == (gone.status, gone.error_code, gone.quota_state)
    assert ["accepted"] == rig.states(running)
    assert ["abandoned", "accepted"] == rig.states(unknown)
    assert ["running", "unknown", "unknown"] == [wish.prompt for wish in rig.upstream.requests]


def test_client_that_polls_wildly_makes_one_look(rig: Rig) -> None:
    """Sixty requests, each followed by whatever it rang: the provider is asked once."""
    api = client(create_app(rig.ctx))
    video = rig.submitted()
    rig.pass_time(6)
    rig.sql("update videos set due_at = now() + interval '1 hour'")
    rung = len(rig.rings)

    for _ in range(60):
        assert 200 == api.get(f"/api/videos/{video.id}", headers={"X-User-Id": "ann"}).status_code
        for _, ids in rig.rings[rung:]:
            poll.poll(rig.ctx, ids)

    assert 1 == rig.upstream.count("retrieve")
    assert [("poll", [video.id])] == rig.rings[rung:]


# People.


def test_replay_racing_delete_makes_no_new_video(rig: Rig) -> None:
    """The same code, the row as it is, whoever is first."""
    made = submissions.create(rig.ctx, ANN, WISH, key=KEY).video

    again, _ = race(
        lambda: submissions.create(rig.ctx, ANN, WISH, key=KEY),
        lambda: endings.delete(rig.ctx, ANN, made.id),
    )
    later = submissions.create(rig.ctx, ANN, WISH, key=KEY)

    assert not isinstance(again, Exception)
    assert (True, made.id, "deleted") == (later.replayed, later.video.id, later.video.status)
    assert 1 == rig.sql("select count(*) from videos")


def test_person_may_retry_what_moderation_refused(rig: Rig) -> None:
    """One by one, and only after it has failed."""
    rig.upstream.script("create", ProviderRejected("No.", code="moderation_blocked"))
    refused = rig.submitted()

    again = submissions.retry(rig.ctx, ANN, refused.id).video

    assert refused.id == again.retry_of
    with pytest.raises(Conflict, match="queued") as caught:
        submissions.retry(rig.ctx, ANN, again.id)
    assert "not_retryable" == caught.value.code


# No transaction is open while the provider is asked.


def in_transaction(rig: Rig) -> int:
    """How many connections of ours are in a transaction and do nothing."""
    return int(
        rig.sql(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and state like 'idle in transaction%'"
        )
    )


@pytest.mark.parametrize(
    "operation", ["retrieve", "walk, poll", "walk, reconcile", "download video", "watch", "delete"]
)
def test_no_transaction_is_open_while_the_provider_is_asked(rig: Rig, operation: str) -> None:
    """It may take minutes: no row stays locked, no connection is taken for that long."""
    seen: list[int] = []

    def noting(usual: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*args: Any) -> Any:
            seen.append(in_transaction(rig))
            return usual(*args)

        return answer

    call, run = _arranged(rig, operation)
    usual = {
        "retrieve": rig.upstream._known,
        "walk": rig.upstream.listing,
        "download video": rig.upstream._bytes,
        "delete": rig.upstream._forget,
    }[call]
    rig.upstream.script(call, noting(usual))

    run()

    assert [0] == seen


def _arranged(rig: Rig, operation: str) -> tuple[str, Callable[[], None]]:
    """The call that will be made, and what makes it."""
    if operation == "walk, poll":
        videos = [rig.submitted(f"kite {n}") for n in range(4)]
        return "walk", lambda: rig.look(*videos)
    if operation == "walk, reconcile":
        rig.upstream.script("create", ProviderAmbiguous("Timeout."))
        rig.submitted()
        return "walk", rig.clean_look
    if operation == "download video":
        generated = rig.generated()
        return operation, lambda: rig.store(generated)
    video = rig.submitted()
    if operation == "retrieve":
        return operation, lambda: rig.look(video)
    endings.cancel(rig.ctx, ANN, video.id)
    return ("delete" if operation == "delete" else "retrieve"), rig.watch
