"""Every profile through the whole lifecycle: the real core over a sandbox that speaks each server's
dialect. What is expected is in `lifecycle_table`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator import endings, holds
from orchestrator.catalog import PROFILES
from orchestrator.records import Caller, Video
from tests.contract.lifecycle_stage import DAY, Stage, Upstream, staged, upstream
from tests.contract.lifecycle_table import HANG, OUTCOMES, PAGE, ROWS, Row, page

pytestmark = pytest.mark.matrix

ANN = Caller("ann")
NO_LIST = {"list": "none", "on_unknown": "hold"}
CUT = "create.accept_then_cut@1"


@pytest.fixture(scope="module", params=list(PROFILES))
def served(
    request: pytest.FixtureRequest, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    """One sandbox for each dialect, and the core over it."""
    with upstream(request.param, postgres_url, tmp_path_factory.mktemp("core")) as opened:
        yield opened


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_video_ends_as_the_table_says(row: Row, served: Upstream) -> None:
    """Whatever goes wrong, on whichever server: the table says how it ends, and what was paid."""
    play, options = STORIES[row.story]

    with staged(served, **options) as stage:
        served.misbehave(row.faults)
        video = play(stage, row)
        stage.settle()

        expected = OUTCOMES[row.outcomes[served.profile.name]].ending
        assert expected == stage.ending(video)
        assert 0 == sent_too_often(stage, video)


def test_the_page_of_the_documentation_is_this_table() -> None:
    """What users read is what is tested; `python -m tests.contract.lifecycle_table` writes it."""
    written = PAGE.read_text()

    assert page() == written


def sent_too_often(stage: Stage, video: Video) -> int:
    """How many more POSTs there were than attempts. Only a key that the server honours makes a
    repetition free, and there the sandbox tells whether it was.
    """
    if stage.provider.profile.honours_idempotency_key:
        return 0
    return stage.upstream.requests("create") - len(stage.attempts(video))


def plain(stage: Stage, row: Row) -> Video:
    return stage.want(row.prompt)


def stuck(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.settle(lambda: stage.video(video).status == "failed")
    stage.pass_time(DAY)
    return video


def late(stage: Stage, row: Row) -> Video:
    """It shows up only after it was given up."""
    video = stage.want()
    stage.settle()
    stage.pass_time(300)
    return video


def forget_running(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.running(video)
    stage.upstream.restart()
    return video


def forget_unknown(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.work()
    stage.upstream.restart()
    return video


def cancel_queued(stage: Stage, row: Row) -> Video:
    video = stage.want()
    endings.cancel(stage.ctx, ANN, video.id)
    return video


def cancel_running(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.running(video)
    endings.cancel(stage.ctx, ANN, video.id)
    return video


def cancel_unknown(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.work()
    endings.cancel(stage.ctx, ANN, video.id)
    return video


def expire(stage: Stage, row: Row) -> Video:
    video = stage.want()
    stage.settle(lambda: stage.video(video).failures > 0)
    stage.pass_time(2 * DAY)
    return video


def listless(stage: Stage, row: Row) -> Video:
    stage.upstream.misbehave(CUT)
    video = stage.want()
    stage.settle()
    return video


def adopt(stage: Stage, row: Row) -> Video:
    video = listless(stage, row)
    assert OUTCOMES["held"].ending == stage.ending(video)
    (job,) = stage.upstream.jobs
    holds.resolve(stage.ctx, video.id, "adopt", provider_video_id=job["public_id"])
    return video


def retry(stage: Stage, row: Row) -> Video:
    stage.upstream.misbehave("create.cut@1")
    video = stage.want()
    stage.settle()
    holds.resolve(stage.ctx, video.id, "retry")
    return video


def give_up(stage: Stage, row: Row) -> Video:
    video = listless(stage, row)
    holds.resolve(stage.ctx, video.id, "fail")
    return video


def on_unknown_retry(stage: Stage, row: Row) -> Video:
    stage.upstream.misbehave("create.cut@1")
    return stage.want()


STORIES: dict[str, tuple[Callable[[Stage, Row], Video], dict[str, Any]]] = {
    "plain": (plain, {}),
    # A look that comes to nothing is repeated, so it may be too short; another create may not.
    "impatient_create": (plain, {"patience": {"create_timeout": HANG / 2}}),
    "impatient_read": (plain, {"patience": {"read_timeout": HANG / 8}}),
    "stuck": (stuck, {"video_deadline_seconds": 60.0}),
    "late": (late, {}),
    "expire": (expire, {}),
    "forget_running": (forget_running, {"missing_grace_seconds": 30.0}),
    "forget_unknown": (forget_unknown, {}),
    "cancel_queued": (cancel_queued, {}),
    "cancel_running": (cancel_running, {}),
    "cancel_unknown": (cancel_unknown, {}),
    "adopt": (adopt, {"profile": NO_LIST}),
    "retry": (retry, {"profile": NO_LIST}),
    "give_up": (give_up, {"profile": NO_LIST}),
    "on_unknown_retry": (on_unknown_retry, {"profile": {**NO_LIST, "on_unknown": "retry"}}),
    "on_unknown_fail": (listless, {"profile": {**NO_LIST, "on_unknown": "fail"}}),
}
"""How each story is played, and the facts and settings that it needs."""
