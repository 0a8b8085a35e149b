"""The story of a person who wants videos, in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Route, expect

from orchestrator import quotas, submissions
from tests.browser.conftest import MakePage, MakeSite
from tests.browser.gallery import PROMPT, ask, card
from tests.core import caller, make_request

pytestmark = pytest.mark.timeout(180)  # a browser, a server and a sandbox, on two cores

USER = "test_user"
PLAYS = "v => !v.paused && v.currentTime > 0.2 && v.videoWidth > 0"


def wait_until(element: Locator, holds: str) -> None:
    """Wait for a function of this element to be true; the policy of the page forbids Playwright's
    own way, which makes code from texts.
    """
    frame = "await new Promise(requestAnimationFrame)"
    element.evaluate(f"async element => {{ while (!({holds})(element)) {frame} }}")


def test_prompt_becomes_a_video_that_plays(make_site: MakeSite, make_page: MakePage) -> None:
    """From typing to watching, with the price before, progress meanwhile, and the quota after."""
    page = make_page(make_site(render_seconds=5, pictures=True))

    page.locator("#model").select_option("sora-2-pro")
    page.get_by_label("Size").select_option("480x832")
    expect(page.locator("create-form output")).to_contain_text("$0.80")
    ask(page)
    expect(card(page).get_by_text("In progress")).to_be_visible()
    # On a busy machine the video may be there before its bar has moved.
    wait_until(card(page).get_by_role("progressbar"), "bar => bar.value > 5 || !bar.isConnected")
    expect(card(page).get_by_text("Completed")).to_be_visible()
    card(page).get_by_role("button", name="Play").click()

    wait_until(card(page).locator("video"), PLAYS)
    expect(page.locator("quota-meter")).to_contain_text("1 of 100 videos")
    expect(page.locator("quota-meter")).to_contain_text("$0.80")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")


def test_remix_stands_in_the_tree_of_versions(make_site: MakeSite, make_page: MakePage) -> None:
    """The history of a video shows its events, its attempt, and what came from it."""
    page = make_page(make_site())
    ask(page)
    expect(card(page).get_by_text("Completed")).to_be_visible()

    card(page).get_by_role("button", name="Remix").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What should be different?").fill("The same at sunrise")
    dialog.get_by_role("button", name="Remix").last.click()

    expect(dialog.get_by_role("heading", name="The same at sunrise")).to_be_visible()
    expect(dialog.locator(".timeline")).to_contain_text("Asked for as a remix")
    expect(dialog.locator("tbody tr")).to_contain_text("Accepted")
    expect(dialog.locator(".tree .tree, .tree ul")).to_contain_text("The same at sunrise")
    dialog.locator(".tree").get_by_role("link", name=PROMPT).click()
    expect(dialog.get_by_role("heading", name=PROMPT)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).not_to_have_url(re.compile("video="))


def test_video_is_cancelled_and_asked_for_again(make_site: MakeSite, make_page: MakePage) -> None:
    """A retry is another video."""
    page = make_page(make_site(render_seconds=60))
    ask(page)
    expect(card(page).get_by_text("In progress")).to_be_visible()

    card(page).get_by_role("button", name="Cancel").click()
    expect(card(page).get_by_text("Cancelled", exact=True)).to_be_visible()
    card(page).get_by_role("button", name="Retry").click()

    expect(card(page)).to_have_count(2)
    expect(card(page).first.get_by_text("In progress")).to_be_visible()


def test_failure_is_told_in_the_servers_words(make_site: MakeSite, make_page: MakePage) -> None:
    """On the card, and in the history."""
    page = make_page(make_site(faults="create.moderation"))
    ask(page)

    expect(card(page).get_by_text("Failed", exact=True)).to_be_visible()
    expect(card(page).locator(".why")).not_to_be_empty()
    expect(card(page).get_by_role("button", name="Retry")).to_be_visible()


@pytest.mark.parametrize("undone", [True, False], ids=["undone", "left alone"])
def test_delete_waits_for_an_undo(make_site: MakeSite, make_page: MakePage, undone: bool) -> None:
    """The card goes at once; the request goes when five seconds have passed."""
    page = make_page(make_site())
    ask(page)
    expect(card(page).get_by_text("Completed")).to_be_visible()
    deleted: list[str] = []
    page.on("request", lambda one: deleted.append(one.url) if one.method == "DELETE" else None)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))

    card(page).get_by_role("button", name="Delete").click()
    expect(card(page)).to_have_count(0)
    page.clock.run_for(4_500)
    assert [] == deleted
    if undone:
        page.get_by_role("button", name="Undo").click()
    page.clock.run_for(1_000)

    expect(card(page)).to_have_count(1 if undone else 0)
    page.clock.resume()
    page.reload()
    expect(card(page)).to_have_count(1 if undone else 0)
    assert (0 if undone else 1) == len(deleted)


def test_archived_video_is_behind_its_filter(make_site: MakeSite, make_page: MakePage) -> None:
    """Out of the way, not gone."""
    page = make_page(make_site())
    ask(page)
    expect(card(page).get_by_text("Completed")).to_be_visible()

    card(page).get_by_role("button", name="Archive").click()
    expect(card(page)).to_have_count(0)
    page.get_by_label("Archived").check(force=True)

    expect(card(page).get_by_role("button", name="Unarchive")).to_be_visible()


def test_server_restarts_while_somebody_watches(make_site: MakeSite, make_page: MakePage) -> None:
    """The page says so, goes on by itself, and misses nothing."""
    site = make_site(render_seconds=4)
    page = make_page(site)
    ask(page)
    expect(card(page).get_by_text("In progress")).to_be_visible()

    site.stop()
    expect(page.locator("[data-light=offline]")).to_be_visible()
    site.start()

    expect(page.locator("[data-light=live]")).to_be_visible()
    expect(card(page).get_by_text("Completed")).to_be_visible()


def test_page_says_that_the_browser_is_offline(make_site: MakeSite, make_page: MakePage) -> None:
    """A stream over a dead connection is only silent."""
    page = make_page(make_site())
    expect(page.locator("[data-light=live]")).to_be_visible()

    page.context.set_offline(True)
    expect(page.locator("[data-light=offline]")).to_be_visible()
    page.context.set_offline(False)

    expect(page.locator("[data-light=live]")).to_be_visible()


def test_gallery_says_that_it_could_not_be_read(make_site: MakeSite, make_page: MakePage) -> None:
    """Until it can; what one hears of meanwhile is shown, and does not pass for all there is."""
    site = make_site()
    submissions.create(site.ctx, caller(USER), make_request("a kite"))
    page = make_page(site, "/docs")
    page.route("**/api/videos?*", lambda route: _refuse(route))
    page.goto(site.url)
    again = page.get_by_role("button", name="Try again")

    expect(again).to_be_visible()
    ask(page)
    expect(card(page)).to_be_visible()
    expect(again).to_be_visible()
    page.unroute("**/api/videos?*")
    again.click()

    expect(page.locator("video-card")).to_have_count(2)
    expect(again).to_have_count(0)


def test_page_asks_by_itself_while_the_stream_is_cut(
    make_site: MakeSite, make_page: MakePage
) -> None:
    """Whatever stands between may let no stream through."""
    site = make_site(render_seconds=2)
    page = make_page(site, "/docs")
    page.route("**/api/events/stream", lambda route: _refuse(route))

    page.goto(site.url)
    expect(page.locator("[data-light=polling]")).to_be_visible()
    ask(page)

    expect(card(page).get_by_text("Completed")).to_be_visible()


def test_filters_are_in_the_address(make_site: MakeSite, make_page: MakePage) -> None:
    """Whoever gets the link sees the same."""
    site = make_site()
    for prompt in ("a red kite", "a blue kite", "a boat"):
        submissions.create(site.ctx, caller(USER), make_request(prompt))
    page = make_page(site)
    expect(page.locator("video-card")).to_have_count(3)

    page.get_by_placeholder("Search prompts").fill("kite")
    expect(page.locator("video-card")).to_have_count(2)
    page.get_by_label("Failed").check(force=True)
    expect(page.get_by_text("No video matches these filters.")).to_be_visible()
    page.get_by_label("Completed").check(force=True)
    expect(page).to_have_url(re.compile(r"\?(?=.*q=kite)(?=.*status=completed)"))
    expect(page.locator("video-card")).to_have_count(2)
    again = make_page(site, page.url.removeprefix(site.url))
    expect(again.locator("video-card")).to_have_count(2)
    again.get_by_role("button", name="Clear filters").click()

    expect(again.locator("video-card")).to_have_count(3)
    assert again.url == f"{site.url}/"


def test_gallery_grows_as_one_scrolls(make_site: MakeSite, make_page: MakePage) -> None:
    """Page by page, each video once."""
    site = make_site(render_seconds=600)
    quotas.change(site.ctx, USER, {"videos_limit": 1000})
    for number in range(60):
        submissions.create(site.ctx, caller(USER), make_request(f"boat {number:02}"))
    page = make_page(site)
    expect(page.locator("video-card").first).to_be_visible()
    assert page.locator("video-card").count() < 60

    for _ in range(6):
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(100)

    expect(page.locator("video-card")).to_have_count(60)
    titles = page.locator("video-card h3").all_text_contents()
    assert [f"boat {number:02}" for number in reversed(range(60))] == titles


def test_prompt_is_shown_as_it_was_typed(make_site: MakeSite, make_page: MakePage) -> None:
    """Markup in it is text, in the gallery as in the history."""
    page = make_page(make_site())
    prompt = "<img src=x onerror=alert(1)> <b>bold</b> & \u202eabc"

    ask(page, prompt)
    card(page, prompt).get_by_role("link", name=prompt, exact=True).click()

    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(prompt)
    assert 0 == page.locator("h2 b, h3 b, h2 img, h3 img").count()


def _refuse(route: Route) -> None:
    route.fulfill(status=503, body="")
