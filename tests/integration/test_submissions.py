"""Asking for videos: one transaction, one video per key."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator import endings, quotas, submissions
from orchestrator.catalog import single_provider_catalog
from orchestrator.db import providers
from orchestrator.errors import (
    Gone,
    IdempotencyKeyReused,
    InvalidRequest,
    QuotaExceeded,
    StorageError,
)
from orchestrator.rings import Ring
from orchestrator.wishes import MAX_INPUT_BYTES, IdempotencyKey, InputFile, VideoRequest
from tests.core import (
    accept,
    caller,
    count,
    make_request,
    opened,
    quota,
    race,
    row,
    sql,
    submit,
    told,
    types_of,
)
from tests.factories import fail, make_image

KEY = IdempotencyKey("key-1", "POST /api/videos")


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def create(ctx, prompt="a red kite", *, key=KEY, user_id="ann", **changes):
    """Ask with a key."""
    return submissions.create(ctx, caller(user_id), make_request(prompt, **changes), key=key)


def test_create_writes_all_that_was_asked_for(ctx):
    """The row holds the request, and what follows from it."""
    later = datetime.now(UTC) + timedelta(hours=1)

    video = submit(
        ctx,
        prompt="a red kite 凧",
        model="sora-2-pro",
        seconds="3",
        quality="high",
        metadata={"a": [1]},
        priority=5,
        run_at=later,
    )

    assert video == row(ctx, video.id)
    assert ("ann", "a red kite 凧", "sora-2-pro", "3", "320x240", "high") == (
        video.user_id,
        video.prompt,
        video.model,
        video.seconds,
        video.size,
        video.quality,
    )
    assert ("queued", "submit", 0, {"a": [1]}, 5) == (
        video.status,
        video.step,
        video.progress,
        video.metadata,
        video.priority,
    )
    assert (later, later) == (video.run_at, video.due_at)
    assert Decimal("0.6000") == video.cost_estimated
    assert ("default", "sandbox") == (video.provider, video.account)


def test_create_takes_the_defaults_of_the_model(ctx):
    """Who says only what, gets four seconds of the usual size."""
    video = submissions.create(ctx, caller(), VideoRequest("a kite")).video

    assert ("sora-2", "4", "720x1280") == (video.model, video.seconds, video.size)


@pytest.mark.parametrize(("priority", "minutes"), [(0, 0), (3, 30), (-2, -20)])
def test_priority_is_a_head_start_in_time(ctx, priority, minutes):
    """Each step is worth ten minutes of waiting, so that waiting outweighs it in the end."""
    video = submit(ctx, priority=priority)

    assert timedelta(minutes=minutes) == video.created_at - video.rank_at


def test_create_tells_of_the_video_once(ctx):
    """One event, number one, with what was asked for."""
    video = submit(ctx)

    data = {"model": "sora-2", "prompt": "a red kite", "seconds": "2", "size": "320x240"}
    assert [(1, "created", data)] == told(ctx, video.id)
    assert 1 == video.seq


def test_create_rings_at_once_when_nobody_waits(ctx):
    """Without caps and backlog, the video is admitted in the same transaction."""
    video = submit(ctx)

    assert video.admitted_at is not None
    assert [Ring("create", (video.id,), "create")] == ctx.broker.rings


def test_create_is_cached_when_it_returns(ctx):
    """The first GET needs no database."""
    video = submit(ctx)

    assert video.id == (ctx.cache.get_video(video.id) or {})["id"]


def waiting_behind_another(ctx):
    submit(ctx, "bob")
    sql(ctx, "update videos set admitted_at = null")


def pausing(ctx):
    with ctx.database.transaction() as connection:
        providers.pause(connection, "default", "sandbox", reason="busy", seconds=60)


def half_open(ctx):
    pausing(ctx)
    sql(ctx, "update providers set paused_until = now() - interval '1 second'")


@pytest.mark.parametrize(
    "reason",
    [
        waiting_behind_another,
        pausing,
        half_open,
        lambda ctx: quotas.change(ctx, "ann", {"max_in_flight": 1}),
    ],
)
def test_create_waits_for_the_sweep_when_it_must_be_dealt_out(ctx, reason):
    """A backlog, a pause or a cap: the sweep decides who is next."""
    reason(ctx)
    ctx.broker.rings.clear()

    video = submit(ctx)

    assert video.admitted_at is None
    assert [] == ctx.broker.rings


@pytest.mark.parametrize("caps", [{"max_in_flight": 2}, {"rpm": 60}])
def test_create_waits_for_the_sweep_when_the_provider_has_caps(ctx, caps):
    """Slots and rates are counted in one place."""
    catalog = single_provider_catalog("http://127.0.0.1:1/v1", profile="sandbox", **caps)
    capped = replace(ctx, settings=replace(ctx.settings, catalog=catalog))

    assert submit(capped).admitted_at is None


def test_create_waits_when_it_is_for_later(ctx):
    """A video with a start time is not rung before it."""
    video = submit(ctx, run_at=datetime.now(UTC) + timedelta(minutes=5))

    assert video.admitted_at is None
    assert [] == ctx.broker.rings


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": "a\ud800b"}, "prompt"),
        ({"model": "sora-9"}, "model"),
        ({"seconds": "61"}, "seconds"),
        ({"seconds": "1.5"}, "seconds"),
        ({"size": "321x240"}, "size"),
        ({"size": "big"}, "size"),
        ({"input_reference": InputFile(b"")}, "input_reference"),
        ({"input_reference": InputFile(b"plain text")}, "input_reference"),
        ({"input_reference": InputFile(b"\0" * (MAX_INPUT_BYTES + 1))}, "input_reference"),
    ],
)
def test_create_refuses_what_breaks_a_rule(ctx, changes, param):
    """The error names the field; nothing is reserved, and the key stays free."""
    with pytest.raises(InvalidRequest) as caught:
        create(ctx, **changes)

    assert param == caught.value.param
    assert (0, 0) == (count(ctx), quota(ctx).videos_created)
    assert create(ctx).replayed is False


def test_create_keeps_the_image_where_the_worker_finds_it(ctx):
    """Its bytes lie in the storage under their hash; messages carry ids only."""
    picture = make_image("PNG")

    video = submit(ctx, input_reference=InputFile(picture))

    assert f"inputs/{video.input_sha256}.png" == video.input_key
    assert (len(picture), "image/png") == (video.input_bytes, video.input_type)
    with ctx.storage.open(video.input_key) as content:
        assert picture == b"".join(content.chunks)


def test_create_accepts_nothing_when_the_storage_is_full(ctx):
    """Without its image a video could not be driven to its end."""

    class Full:
        def put(self, *_, **__):
            raise StorageError("The storage is full.")

    with pytest.raises(StorageError):
        submit(replace(ctx, storage=Full()), input_reference=InputFile(make_image("PNG")))

    assert (0, 0) == (count(ctx), quota(ctx).videos_created)


def test_same_key_answers_with_the_same_video(ctx):
    """A client that heard nothing asks again, and pays once."""
    first = create(ctx)
    ctx.broker.rings.clear()

    second = create(ctx)

    assert (False, True) == (first.replayed, second.replayed)
    assert first.video.id == second.video.id
    assert (1, 1) == (count(ctx), quota(ctx).videos_created)
    assert [] == ctx.broker.rings


def test_replay_shows_the_video_as_it_is_now(ctx):
    """The answer is the present state, not a copy of the first answer."""
    video = create(ctx).video
    accept(ctx, video.id)

    assert "in_progress" == create(ctx).video.status


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a blue kite"},
        {"seconds": "3"},
        {"metadata": {"a": 1}},
        {"priority": 1},
        {"model": "sora-2-pro"},
        {"input_reference": InputFile(make_image("PNG"))},
    ],
)
def test_same_key_with_another_request_is_refused(ctx, changes):
    """The key belongs to the first request; nothing is made for the second."""
    create(ctx)

    with pytest.raises(IdempotencyKeyReused):
        create(ctx, **changes)

    assert (1, 1) == (count(ctx), quota(ctx).videos_created)


def test_defaults_may_be_said_or_left_out_under_one_key(ctx):
    """The fingerprint is taken of the completed request."""
    bare = VideoRequest("a kite")
    full = VideoRequest("a kite", model="sora-2", seconds="4", size="720x1280")

    first = submissions.create(ctx, caller(), bare, key=KEY)
    second = submissions.create(ctx, caller(), full, key=KEY)

    assert first.video.id == second.video.id


def test_key_counts_for_one_user_and_one_route(ctx):
    """Others may use the same word."""
    made = [
        create(ctx),
        create(ctx, user_id="bob"),
        create(ctx, key=IdempotencyKey(KEY.value, "POST /v1/videos")),
    ]

    assert [False] * 3 == [one.replayed for one in made]
    assert 3 == count(ctx)


def test_no_key_makes_a_video_each_time(ctx):
    """Two equal wishes are two videos."""
    assert create(ctx, key=None).video.id != create(ctx, key=None).video.id


def test_one_video_is_made_when_forty_use_one_key(ctx):
    """One new, the others of its body replays, those of the other body refused."""
    prompts = ["a red kite", "a blue kite"] * 20

    outcomes = race(*[lambda prompt=prompt: create(ctx, prompt) for prompt in prompts])

    assert {"IdempotencyKeyReused": 20, "Submitted": 20} == types_of(outcomes)
    answers = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert 1 == len({answer.video.id for answer in answers})
    assert 1 == sum(not answer.replayed for answer in answers)
    assert (1, 1) == (count(ctx), quota(ctx).videos_created)


def test_refused_request_frees_its_key(ctx):
    """When the quota allows it again, the same key makes the video."""
    quotas.change(ctx, "ann", {"videos_limit": 0})
    with pytest.raises(QuotaExceeded):
        create(ctx)
    quotas.change(ctx, "ann", {"videos_limit": 1})

    assert create(ctx).replayed is False


def test_key_is_kept_when_the_video_fails(ctx):
    """A late repetition over the network must not pay again."""
    video = create(ctx).video
    fail(ctx, video.id)

    again = create(ctx)

    assert (True, video.id, "failed") == (again.replayed, again.video.id, again.video.status)


def test_replay_shows_a_deleted_video_as_deleted(ctx):
    """Deleting frees no key: the answer is the row as it is."""
    video = create(ctx).video
    endings.delete(ctx, caller(), video.id)

    again = create(ctx)

    assert (True, "deleted") == (again.replayed, again.video.status)


def test_key_outlives_its_video(ctx):
    """When the row was removed for good, the key still stops a second payment."""
    video = create(ctx).video
    sql(ctx, "delete from videos where id = :id", id=video.id)

    with pytest.raises(Gone):
        create(ctx)

    assert 0 == count(ctx)
