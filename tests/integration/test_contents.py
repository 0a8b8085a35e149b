"""Who may fetch which bytes, and under which name."""

import pytest

from orchestrator import contents, endings
from orchestrator.errors import Conflict, Gone, NotFound
from tests.core import caller, opened, sql, submit, unfinished
from tests.factories import MOVIE, complete


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def test_content_of_a_completed_video_is_found(ctx):
    """Key, type, a name to save it under and a tag that changes when the bytes do."""
    video = complete(ctx, submit(ctx).id)

    found = contents.find(ctx, caller(), video.id)

    assert (video.content_key, "video/mp4", video.content_sha256, f"{video.id}.mp4") == (
        found.key,
        found.media_type,
        found.etag,
        found.filename,
    )
    with ctx.storage.open(found.key) as content:
        assert MOVIE == b"".join(content.chunks)


def test_thumbnail_has_bytes_of_its_own(ctx):
    """Another key, another tag, an image."""
    video = complete(ctx, submit(ctx).id)

    found = contents.find(ctx, caller(), video.id, "thumbnail")

    assert (video.thumbnail_key, "image/webp", f"{video.id}.webp") == (
        found.key,
        found.media_type,
        found.filename,
    )
    assert found.etag != video.content_sha256


@pytest.mark.parametrize("variant", ["spritesheet", "nonsense"])
def test_variant_is_not_found_when_the_video_has_none(ctx, variant):
    """The message says which."""
    video = complete(ctx, submit(ctx).id)

    with pytest.raises(NotFound, match=variant):
        contents.find(ctx, caller(), video.id, variant)


@pytest.mark.parametrize("status", ["queued", "in_progress", "failed", "cancelled"])
def test_content_is_not_ready_when_the_video_is_not_completed(ctx, status):
    """The conflict says what the video is."""
    video = unfinished(ctx, status)

    with pytest.raises(Conflict, match=status) as caught:
        contents.find(ctx, caller(), video.id)

    assert "not_ready" == caught.value.code


@pytest.mark.parametrize("case", ["foreign", "deleted", "unknown"])
def test_content_is_not_found_when_it_is_not_the_callers(ctx, case):
    """Deleted bytes may still lie there; nobody gets them."""
    video = complete(ctx, submit(ctx).id)
    if case == "deleted":
        endings.delete(ctx, caller(), video.id)

    with pytest.raises(NotFound):
        contents.find(
            ctx,
            caller("bob" if case == "foreign" else "ann"),
            "video_" + "0" * 32 if case == "unknown" else video.id,
        )


def test_content_is_gone_when_it_was_purged(ctx):
    """It was there: that is another answer than never."""
    video = complete(ctx, submit(ctx).id)
    sql(ctx, "update videos set purged_at = now() where id = :id", id=video.id)

    with pytest.raises(Gone):
        contents.find(ctx, caller(), video.id)
