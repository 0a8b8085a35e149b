"""Lists of videos, as the OpenAI API has them."""

from __future__ import annotations

import time

import pytest

from orchestrator.context import Context
from tests.api_client import ApiClient
from tests.contract.facade_stage import ME, refused, shown
from tests.core import sql, submit


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=x", "after"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_list_refuses_when_its_parameters_break_a_rule(
    api: ApiClient, query: str, param: str
) -> None:
    """And says which one."""
    assert param == refused(api.get(f"/v1/videos?{query}"), 400)["param"]


def test_list_is_whole_when_it_has_few(api: ApiClient, ctx: Context) -> None:
    """All members are there, strange parameters are not minded, archived videos are shown."""
    empty = shown(api.get("/v1/videos?provider=openai&provider=x"))
    videos = [submit(ctx, ME, prompt=f"kite {number}").id for number in range(2)]
    api.post(f"/api/videos/{videos[0]}/archive")
    page = shown(api.get("/v1/videos"))
    none = shown(api.get("/v1/videos?limit=0"))

    nothing = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert nothing == empty == none
    assert (videos[1], videos[0], False) == (page["first_id"], page["last_id"], page["has_more"])


def test_list_says_that_there_is_more_when_there_is(api: ApiClient, ctx: Context) -> None:
    """Exactly then."""
    for number in range(3):
        submit(ctx, ME, prompt=f"kite {number}")

    more = [shown(api.get(f"/v1/videos?limit={limit}"))["has_more"] for limit in (2, 3, 4)]

    assert [True, False, False] == more


def test_list_goes_on_when_its_last_video_is_gone(api: ApiClient, ctx: Context) -> None:
    """Deleted, removed for good, or somebody else's: its id still tells the time."""
    videos = []
    for number in range(3):
        videos.append(submit(ctx, ME, prompt=f"kite {number}").id)
        time.sleep(0.002)
        foreign = submit(ctx, "bob").id if number == 1 else ""
        videos += [foreign] if foreign else []
        time.sleep(0.002)
    oldest, middle, foreign, newest = videos
    api.delete(f"/v1/videos/{middle}")

    deleted = [video["id"] for video in shown(api.get(f"/v1/videos?after={middle}"))["data"]]
    sql(ctx, "delete from videos where id = :id", id=middle)
    removed = [video["id"] for video in shown(api.get(f"/v1/videos?after={middle}"))["data"]]
    stranger = shown(api.get(f"/v1/videos?after={foreign}&order=asc"))["data"]

    assert [oldest] == deleted == removed
    assert [newest] == [video["id"] for video in stranger]


@pytest.mark.parametrize("after", ["video_" + "0" * 32, "video_" + "f" * 32])
def test_list_is_whole_or_empty_when_somebody_made_the_id_up(
    api: ApiClient, ctx: Context, after: str
) -> None:
    """The farthest times there are."""
    submit(ctx, ME)

    assert after.endswith("f") == bool(shown(api.get(f"/v1/videos?after={after}"))["data"])
