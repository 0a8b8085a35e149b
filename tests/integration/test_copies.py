"""Remixes and retries: new videos that come from others."""

from dataclasses import replace

import pytest

from orchestrator import endings, submissions
from orchestrator.catalog import PROFILES, single_provider_catalog
from orchestrator.errors import (
    Conflict,
    IdempotencyKeyReused,
    NotFound,
    Unsupported,
)
from orchestrator.rings import Ring
from orchestrator.wishes import IdempotencyKey, InputFile
from tests.core import (
    accept,
    caller,
    count,
    opened,
    quota,
    race,
    row,
    sql,
    submit,
    told,
    types_of,
    unfinished,
)
from tests.factories import complete, fail, make_image

KEY = IdempotencyKey("key-1", "POST /api/videos")


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


@pytest.fixture
def source(ctx):
    """A completed video of ann."""
    return complete(ctx, submit(ctx, prompt="a red kite", quality="high").id)


def test_remix_is_a_new_video_like_its_source(ctx, source):
    """Another prompt; model, length, size and provider of the source."""
    ctx.broker.rings.clear()

    video = submissions.remix(ctx, caller(), source.id, "a blue kite").video

    assert ("remix", source.id, "a blue kite") == (
        video.kind,
        video.remixed_from_video_id,
        video.prompt,
    )
    assert (source.model, source.seconds, source.size, source.quality, source.provider) == (
        video.model,
        video.seconds,
        video.size,
        video.quality,
        video.provider,
    )
    assert ["created", "remixed"] == [event[1] for event in told(ctx, video.id)]
    assert [1, 2] == [event[0] for event in told(ctx, video.id)]
    assert [Ring("remix", (video.id,), "remix")] == ctx.broker.rings


def test_remix_takes_its_place_in_the_quota(ctx, source):
    """A remix costs what a video costs."""
    submissions.remix(ctx, caller(), source.id, "a blue kite")

    assert 2 == quota(ctx).videos_created


@pytest.mark.parametrize("status", ["queued", "in_progress", "failed", "cancelled"])
def test_remix_of_an_unfinished_video_is_a_conflict(ctx, status):
    """Only what is completed can be varied; the message says what it is."""
    video = unfinished(ctx, status)

    with pytest.raises(Conflict) as caught:
        submissions.remix(ctx, caller(), video.id, "a blue kite")

    assert "not_completed" == caught.value.code
    assert status in str(caught.value)


@pytest.mark.parametrize(
    "call", [lambda c, u, v: submissions.remix(c, u, v, "x"), submissions.retry]
)
@pytest.mark.parametrize("case", ["foreign", "admin's", "deleted", "unknown", "strange"])
def test_source_is_not_found_when_it_is_not_the_callers(ctx, source, call, case):
    """Whose video it is stays a secret; an admin pays for nobody's remix either."""
    user = {"foreign": caller("bob"), "admin's": caller("root", "admin")}.get(case, caller())
    if case == "deleted":
        endings.delete(ctx, caller(), source.id)
    video_id = {"unknown": "video_" + "0" * 32, "strange": "../etc"}.get(case, source.id)

    with pytest.raises(NotFound):
        call(ctx, user, video_id)


def test_remix_is_refused_when_the_provider_has_none(ctx, source):
    """The door says so, before anything is reserved."""
    assert "none" == PROFILES["sglang"].remix
    catalog = single_provider_catalog("http://127.0.0.1:1/v1", profile="sglang")
    other = replace(ctx, settings=replace(ctx.settings, catalog=catalog))
    account = catalog.route("sora-2").account
    sql(ctx, "update videos set account = :account", account=account)

    with pytest.raises(Unsupported):
        submissions.remix(other, caller(), source.id, "a blue kite")


def test_remix_is_refused_when_the_provider_is_gone(ctx, source):
    """Only the account that made it can vary it."""
    sql(ctx, "update videos set account = 'elsewhere'")

    with pytest.raises(Conflict) as caught:
        submissions.remix(ctx, caller(), source.id, "a blue kite")

    assert "provider_gone" == caught.value.code


def test_remix_with_a_key_is_made_once(ctx, source):
    """Keys count for remixes as for creates."""
    key = IdempotencyKey("key-2", f"POST /api/videos/{source.id}/remix")

    first = submissions.remix(ctx, caller(), source.id, "a blue kite", key=key)
    second = submissions.remix(ctx, caller(), source.id, "a blue kite", key=key)

    assert (first.video.id, True) == (second.video.id, second.replayed)
    with pytest.raises(IdempotencyKeyReused):
        submissions.remix(ctx, caller(), source.id, "a green kite", key=key)


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_retry_is_a_new_video_with_the_same_wish(ctx, ended):
    """Linked, reserved anew, and told as a retry; the old one stays as it is."""
    video = submit(
        ctx,
        quality="high",
        metadata={"a": 1},
        priority=2,
        input_reference=InputFile(make_image("PNG")),
    )
    fail(ctx, video.id) if ended == "failed" else endings.cancel(ctx, caller(), video.id)
    before = row(ctx, video.id)

    made = submissions.retry(ctx, caller(), video.id).video

    same = ("prompt", "model", "size", "seconds", "quality", "metadata", "priority", "input_key")
    assert [getattr(video, name) for name in same] == [getattr(made, name) for name in same]
    assert (video.id, video.fingerprint, "queued") == (made.retry_of, made.fingerprint, made.status)
    assert ["created", "retried"] == [event[1] for event in told(ctx, made.id)]
    assert before == row(ctx, video.id)
    assert 1 == quota(ctx).videos_created


def test_retry_of_a_remix_stays_with_its_source(ctx, source):
    """A failed remix is asked for again as the same remix."""
    video = submissions.remix(ctx, caller(), source.id, "a blue kite").video
    fail(ctx, video.id)

    made = submissions.retry(ctx, caller(), video.id).video

    assert ("remix", source.id, video.id) == (
        made.kind,
        made.remixed_from_video_id,
        made.retry_of,
    )


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed"])
def test_retry_of_a_video_that_did_not_fail_is_a_conflict(ctx, status):
    """What may still come, or came, is not asked for again."""
    video = submit(ctx)
    if status == "in_progress":
        accept(ctx, video.id)
    if status == "completed":
        complete(ctx, video.id)

    with pytest.raises(Conflict) as caught:
        submissions.retry(ctx, caller(), video.id)

    assert "not_retryable" == caught.value.code
    assert 1 == count(ctx)


def test_one_retry_lives_when_many_ask_at_once(ctx):
    """Two would both be paid for: the others are told that one is under way."""
    video = submit(ctx)
    fail(ctx, video.id)

    outcomes = race(*[lambda: submissions.retry(ctx, caller(), video.id) for _ in range(12)])

    assert {"Conflict": 11, "Submitted": 1} == types_of(outcomes)
    assert {"retry_exists"} == {o.code for o in outcomes if isinstance(o, Conflict)}
    assert 1 == quota(ctx).videos_created


def test_retry_is_possible_again_when_the_last_one_ended(ctx):
    """One live one at a time, as often as one likes."""
    video = submit(ctx)
    fail(ctx, video.id)
    fail(ctx, submissions.retry(ctx, caller(), video.id).video.id)

    assert video.id == submissions.retry(ctx, caller(), video.id).video.retry_of


def test_refused_retry_frees_its_key(ctx):
    """The key of a conflict makes the retry later."""
    video = submit(ctx)
    fail(ctx, video.id)
    first = submissions.retry(ctx, caller(), video.id).video
    key = IdempotencyKey("key-3", f"POST /api/videos/{video.id}/retry")
    with pytest.raises(Conflict):
        submissions.retry(ctx, caller(), video.id, key=key)
    fail(ctx, first.id)

    again = submissions.retry(ctx, caller(), video.id, key=key)
    replay = submissions.retry(ctx, caller(), video.id, key=key)

    assert (False, True) == (again.replayed, replay.replayed)
    assert again.video.id == replay.video.id
