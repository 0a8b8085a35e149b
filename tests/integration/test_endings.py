"""Cancel and delete: the first finaliser wins, and the quota follows the winner."""

from decimal import Decimal

import pytest

from orchestrator import endings
from orchestrator.db import attempts, transitions
from orchestrator.db.transitions import After
from orchestrator.errors import Conflict, NotFound
from orchestrator.lifecycle import COMPLETE, QuotaState
from tests.core import accept, caller, opened, quota, race, row, send, sql, submit, types_of
from tests.factories import complete, fail


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def at_store(ctx, video_id):
    """Let the provider finish a video: its charge is booked, its bytes are not here yet."""
    accept(ctx, video_id)
    sql(
        ctx,
        "update videos set step = 'store', progress = 99, cost_actual = 0.2 where id = :id",
        id=video_id,
    )
    sql(
        ctx,
        "update attempts set ended_at = now(), cost = 0.2 where video_id = :id",
        id=video_id,
    )


def attempt_of(ctx, video_id):
    """The only attempt of a video."""
    with ctx.database.statement() as connection:
        (attempt,) = attempts.of_video(connection, video_id)
    return attempt


def types(ctx, video_id):
    """The types of a video's events, in order."""
    rows = sql(
        ctx, "select event_type from video_events where video_id = :id order by seq", id=video_id
    )
    return [row[0] for row in rows]


def test_cancel_releases_what_the_provider_never_heard_of(ctx):
    """A queued video ends at once and gives its place and its price back."""
    video = submit(ctx)

    cancelled = endings.cancel(ctx, caller(), video.id)

    assert cancelled == row(ctx, video.id)
    assert ("cancelled", "released") == (cancelled.status, cancelled.quota_state)
    assert (0, Decimal(0)) == (quota(ctx).videos_created, quota(ctx).cost_used)
    assert ["created", "status_changed", "cancelled"] == types(ctx, video.id)


def test_cancel_keeps_the_count_until_an_accepted_attempt_ends(ctx):
    """The provider may still charge: the attempt is watched on its own from now."""
    video = submit(ctx)
    accept(ctx, video.id)

    cancelled = endings.cancel(ctx, caller(), video.id)

    assert ("cancelled", "reserved") == (cancelled.status, cancelled.quota_state)
    assert 1 == quota(ctx).videos_created
    attempt = attempt_of(ctx, video.id)
    assert (True, None) == (attempt.detached, attempt.ended_at)
    assert [(True,)] == sql(ctx, "select due_at <= now() from attempts")


def test_cancel_while_storing_keeps_the_count(ctx):
    """The provider finished it; the answer says what was charged."""
    video = submit(ctx)
    at_store(ctx, video.id)

    cancelled = endings.cancel(ctx, caller(), video.id)

    assert ("cancelled", "kept", Decimal("0.2000")) == (
        cancelled.status,
        cancelled.quota_state,
        cancelled.cost_actual,
    )
    assert (1, Decimal("0.2000")) == (quota(ctx).videos_created, quota(ctx).cost_used)
    assert [({"step": "store", "cost": "0.2000"},)] == sql(
        ctx, "select event_data from video_events where event_type = 'cancelled'"
    )


@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_cancel_detaches_an_attempt_whose_outcome_is_open(ctx, state):
    """Cancelled at once; what became of the call is found out without the video."""
    video = submit(ctx)
    send(ctx, video.id)
    if state == "unknown":
        with ctx.database.statement() as connection:
            attempts.unknown(connection, video.id, 1, grace=900, error=None, http_status=None)

    cancelled = endings.cancel(ctx, caller(), video.id)

    assert ("cancelled", "released", None) == (
        cancelled.status,
        cancelled.quota_state,
        cancelled.lease_token,
    )
    attempt = attempt_of(ctx, video.id)
    assert (True, state) == (attempt.detached, attempt.state)
    # Whoever sent it still reports; an unknown one is looked for now.
    assert (state == "sent") is (attempt.due_at is None)


def test_second_cancel_answers_like_the_first(ctx):
    """Same body, nothing told twice."""
    video = submit(ctx)
    first = endings.cancel(ctx, caller(), video.id)

    assert first == endings.cancel(ctx, caller(), video.id)
    assert 3 == len(types(ctx, video.id))


@pytest.mark.parametrize("end", [complete, fail])
def test_cancel_of_a_finished_video_is_a_conflict(ctx, end):
    """The completion was first; the message says what the video is."""
    video = submit(ctx)
    ended = end(ctx, video.id)

    with pytest.raises(Conflict) as caught:
        endings.cancel(ctx, caller(), video.id)

    assert "already_finished" == caught.value.code
    assert ended.status in str(caught.value)
    assert ended == row(ctx, video.id)


@pytest.mark.parametrize("call", [endings.cancel, endings.delete])
@pytest.mark.parametrize("case", ["foreign", "unknown", "strange", "deleted"])
def test_video_is_not_found_when_it_is_not_the_callers(ctx, call, case):
    """Somebody else's is as unknown as none at all."""
    video = submit(ctx)
    if case == "deleted":
        endings.delete(ctx, caller(), video.id)
    user = caller("bob") if case == "foreign" else caller()
    video_id = {"unknown": "video_" + "0" * 32, "strange": "x' or 1=1"}.get(case, video.id)
    before = row(ctx, video.id)

    with pytest.raises(NotFound):
        call(ctx, user, video_id)

    assert before == row(ctx, video.id)


@pytest.mark.parametrize(
    ("call", "status"), [(endings.cancel, "cancelled"), (endings.delete, "deleted")]
)
def test_admin_may_end_anybodys_video(ctx, call, status):
    """The owner's quota follows, not the admin's."""
    video = submit(ctx)

    assert status == call(ctx, caller("root", "admin"), video.id).status
    assert 0 == quota(ctx).videos_created


def test_exactly_one_wins_when_cancel_races_completion(ctx):
    """Either completed and kept, or cancelled and kept: never both, and never released."""
    for _ in range(10):
        video = submit(ctx)
        at_store(ctx, video.id)

        def complete_it(video=video):
            with ctx.database.transaction() as connection:
                return transitions.transition(
                    connection,
                    video.id,
                    COMPLETE,
                    values={"completed_at": After(0), "content_key": "k"},
                    settle=QuotaState.KEPT,
                )

        completed, cancelled = race(
            complete_it, lambda video=video: endings.cancel(ctx, caller(), video.id)
        )

        after = row(ctx, video.id)
        if completed is None:
            assert "cancelled" == cancelled.status == after.status
        else:
            assert "completed" == after.status
            assert "already_finished" == cancelled.code
        assert "kept" == after.quota_state
        assert 4 == len(types(ctx, video.id))
    assert (10, Decimal("2.0000")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_cancel_releases_once_when_many_ask_at_once(ctx):
    """Ten impatient clicks: all are answered alike, one place is given back."""
    submit(ctx)
    video = submit(ctx)

    outcomes = race(*[lambda: endings.cancel(ctx, caller(), video.id) for _ in range(10)])

    assert {"Video": 10} == types_of(outcomes)
    assert 1 == len(set(map(repr, outcomes)))
    assert 1 == quota(ctx).videos_created


def test_delete_hides_a_finished_video_and_keeps_its_count(ctx):
    """What was made was paid for; the bytes stay until they are purged."""
    video = complete(ctx, submit(ctx).id)

    deleted = endings.delete(ctx, caller(), video.id)

    assert ("deleted", "kept", None) == (deleted.status, deleted.quota_state, deleted.purged_at)
    assert deleted.deleted_at is not None
    assert 1 == quota(ctx).videos_created
    assert ctx.storage.stat(video.content_key) is not None


@pytest.mark.parametrize(
    ("prepare", "state", "left"),
    [
        (lambda ctx, video_id: None, "released", 0),
        (accept, "reserved", 1),
        (at_store, "kept", 1),
    ],
)
def test_delete_of_a_live_video_cancels_it_first(ctx, prepare, state, left):
    """Both ends in one moment, told in their order, settled as a cancellation is."""
    video = submit(ctx)
    prepare(ctx, video.id)
    told = len(types(ctx, video.id))

    deleted = endings.delete(ctx, caller(), video.id)

    assert ("deleted", state, left) == (
        deleted.status,
        deleted.quota_state,
        quota(ctx).videos_created,
    )
    assert ["status_changed", "cancelled", "status_changed", "deleted"] == types(ctx, video.id)[
        told:
    ]


def test_watch_survives_the_deletion(ctx):
    """What the provider still makes of a deleted video is charged all the same."""
    video = submit(ctx)
    accept(ctx, video.id)

    endings.delete(ctx, caller(), video.id)

    attempt = attempt_of(ctx, video.id)
    assert (True, None) == (attempt.detached, attempt.ended_at)


def test_delete_happens_once_when_many_ask_at_once(ctx):
    """One deletes, the others find nothing."""
    video = submit(ctx)

    outcomes = race(*[lambda: endings.delete(ctx, caller(), video.id) for _ in range(8)])

    assert {"NotFound": 7, "Video": 1} == types_of(outcomes)
    assert 0 == quota(ctx).videos_created


@pytest.mark.parametrize("call", [endings.cancel, endings.delete])
def test_cache_knows_of_the_end_when_it_returns(ctx, call):
    """The next GET shows what was just decided."""
    video = submit(ctx)

    ended = call(ctx, caller(), video.id)

    cached = ctx.cache.get_video(video.id) or {}
    assert (ended.status, ended.seq) == (cached["status"], cached["seq"])
