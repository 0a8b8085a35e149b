"""Every profile with several videos at once, and with what only some servers have: remixes,
pictures, other containers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator import holds
from orchestrator.catalog import PROFILES
from orchestrator.errors import Unsupported
from orchestrator.records import Caller, Video
from orchestrator.wishes import InputFile
from tests.contract.lifecycle_stage import DAY, Stage, Upstream, staged, upstream
from tests.factories import make_image

pytestmark = pytest.mark.matrix

ANN = Caller("ann")
MANY = 6
HIDDEN = {
    "azure": ("prompt", "kite 1", "kite 2"),
    "sglang": ("prompt", "kite 1", "kite 2"),
    "fastvideo": ("prompt", "kite 1", "kite 2"),
    "bifrost": ("size", "720x1280", "1280x720"),
    "trtllm": ("size", "720x1280", "1280x720"),
    "vllm-omni": ("model", "sora-2", "sora-2-pro"),
}
"""Something that this profile's list does not show, so that two videos look alike there."""
SHOWN = ("prompt", "kite 1", "kite 2")


@pytest.fixture(scope="module", params=list(PROFILES))
def served(
    request: pytest.FixtureRequest, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    """One sandbox for each dialect, and the core over it."""
    with upstream(request.param, postgres_url, tmp_path_factory.mktemp("core")) as opened:
        yield opened


@pytest.fixture
def stage(served: Upstream, database_url: str) -> Iterator[Stage]:
    """A stage with nothing on it, where it is soon known what became of a lost answer: a lane is
    looked at every second until then.
    """
    with staged(served, reconcile_grace_seconds=5.0) as opened:
        yield opened


def all_completed(stage: Stage, *videos: Video) -> bool:
    return {"completed"} == {stage.video(video).status for video in videos}


def test_lookalikes_of_unknown_outcome_do_not_mix(stage: Stage, served: Upstream) -> None:
    """Requests that the list cannot tell apart are submitted one at a time, so each video gets the
    bytes that were made for itself; those that it can tell apart are not kept waiting.
    """
    field, *values = HIDDEN.get(served.profile.name, SHOWN)
    wanted = [stage.want(**{field: value}) for value in values]
    served.misbehave("create.accept_then_cut@2")
    stage.work()
    unknown = sum(stage.states(video) == ["unknown"] for video in wanted)
    stage.settle()
    if served.profile.list == "none":
        adopt_all(stage, *wanted)
        stage.settle()

    assert (1 if served.profile.name in HIDDEN else 2) == unknown
    assert all_completed(stage, *wanted)
    for video in wanted:
        stage.check_content(video)
    assert 2 == len(served.jobs)


def adopt_all(stage: Stage, *videos: Video) -> None:
    ids = {job["prompt"]: job["public_id"] for job in stage.upstream.jobs}
    for video in videos:
        holds.resolve(stage.ctx, video.id, "adopt", provider_video_id=ids[video.prompt])


def test_equal_requests_of_two_users_share_out_what_was_made(
    stage: Stage, served: Upstream
) -> None:
    """Whose is whose does not matter: each gets one, nobody two, and nothing is sent again."""
    if served.profile.list == "none":
        pytest.skip("nothing is found out without a list: the table says held")
    wanted = [stage.want("a kite", user=user) for user in ("ann", "bob")]
    served.misbehave("create.accept_then_cut@2")
    stage.settle()

    owners = {stage.upstream_id(video) for video in wanted}
    assert all_completed(stage, *wanted)
    assert (2, 2) == (len(owners), len(served.jobs))


def test_many_videos_are_looked_at_together(stage: Stage, served: Upstream) -> None:
    """One look through the list stands for many single ones, where there is a list and as many are
    in flight.
    """
    wanted = [stage.want(f"kite {number}") for number in range(MANY)]
    stage.work()
    stage.look(*wanted)
    looked = (served.requests("list"), served.requests("get"))
    stage.settle()

    singly = {"litellm": MANY, "azure": served.profile.max_in_flight}.get(served.profile.name)
    assert ((0, singly) if singly else (1, 0)) == looked
    assert all_completed(stage, *wanted)
    for video in wanted:
        stage.check_content(video)
    assert MANY == len(served.jobs) == served.requests("create")


def test_a_remix_is_made_or_refused_at_the_door(stage: Stage, served: Upstream) -> None:
    """Where the server has remixes one is made of the source there; elsewhere nobody is asked, and
    nothing is reserved.
    """
    source = stage.want()
    stage.settle()
    if served.profile.remix == "none":
        with pytest.raises(Unsupported):
            stage.remix(stage.video(source))
        assert (1, 1) == (stage.quota().videos_created, served.requests("create"))
        return

    remix = stage.remix(stage.video(source))
    stage.settle()

    assert ["create", "remix"] == [job["kind"] for job in served.jobs]
    assert served.jobs[0]["id"] in served.jobs[1]["source"] or served.profile.ids != "plain"
    assert all_completed(stage, remix)
    stage.check_content(remix)


def test_a_remix_of_unknown_outcome_is_found(stage: Stage, served: Upstream) -> None:
    """No list shows what a video is a remix of, so it is found by what it does show, in a lane."""
    if served.profile.remix == "none" or served.profile.list == "none":
        pytest.skip("this profile has no remix, or no list")
    source = stage.want()
    stage.settle()
    served.misbehave("create.accept_then_cut@1")

    remix = stage.remix(stage.video(source))
    stage.settle()

    assert all_completed(stage, remix)
    stage.check_content(remix)
    assert 2 == len(served.jobs)


def test_a_remix_whose_source_is_gone_fails(stage: Stage, served: Upstream) -> None:
    """The provider has forgotten the source: that is said, and given back."""
    if served.profile.remix == "none":
        pytest.skip("this profile has no remix")
    source = stage.want()
    stage.settle()
    served.restart()

    remix = stage.remix(stage.video(source))
    stage.settle()

    assert "source_gone" == stage.video(remix).error_code
    assert 1 == stage.quota().videos_created


def test_pictures_are_kept_where_there_are_any(stage: Stage, served: Upstream) -> None:
    """Thumbnail and spritesheet come from servers that have them; elsewhere nothing is missed."""
    video = stage.want()
    stage.settle()

    kept = stage.video(video)
    there = {"thumbnail": kept.thumbnail_key, "spritesheet": kept.spritesheet_key}
    assert served.profile.variants == {name for name, key in there.items() if key}
    assert "completed" == kept.status


def test_an_image_goes_with_the_request(stage: Stage, served: Upstream) -> None:
    """A reference image reaches the server once, and a lost answer is found out about as ever."""
    image = InputFile(make_image(size=(64, 64)))
    served.misbehave("create.accept_then_cut@1")

    video = stage.want(input_reference=image)
    stage.settle()

    if served.profile.list == "none":
        assert "outcome_unknown" == stage.video(video).hold_reason
    else:
        assert all_completed(stage, video)
    assert 1 == len(served.jobs)


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize("dialect", ["openai", "trtllm"])
def test_an_avi_is_a_video_only_where_the_profile_says_so(
    dialect: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """TensorRT-LLM may send AVI; from anybody else that is not what was asked for."""
    folder = tmp_path_factory.mktemp("core")
    with (
        upstream(dialect, postgres_url, folder, container="avi") as served,
        staged(served) as stage,
    ):
        video = stage.want()
        stage.settle(lambda: stage.video(video).failures > 2)
        stage.pass_time(2 * DAY)
        stage.settle()

        kept = stage.video(video)
        assert {"trtllm": "completed", "openai": "failed"}[dialect] == kept.status
        assert {"trtllm": "video/x-msvideo", "openai": None}[dialect] == kept.content_type
        assert {"trtllm": None, "openai": "content_lost"}[dialect] == kept.error_code
