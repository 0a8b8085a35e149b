"""Asking for a video, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from orchestrator import quotas, submissions
from tests.browser.conftest import MakePage, MakeSite
from tests.browser.gallery import PROMPT, ask, card
from tests.core import caller, make_request

pytestmark = pytest.mark.timeout(180)  # a browser, a server and a sandbox, on two cores

USER = "test_user"


def test_form_offers_what_the_model_allows(make_site: MakeSite, make_page: MakePage) -> None:
    """Any size between the limits here, and the server's own words about one that cannot be."""
    page = make_page(make_site())

    page.get_by_label("Size").select_option("custom")
    page.get_by_label("Width").fill("721")
    expect(page.locator("#custom-size").get_by_role("alert")).to_contain_text("size must be")
    expect(page.get_by_label("Width")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Width").fill("640")
    page.get_by_label("Height").fill("360")
    expect(page.get_by_label("Width")).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("create-form output")).to_contain_text("$0.40")
    ask(page)

    expect(card(page)).to_contain_text(re.compile("640 . 360"))


def test_start_is_chosen_in_local_time(make_site: MakeSite, make_page: MakePage) -> None:
    """The server gets it as UTC, with all else that is folded away."""
    page = make_page(make_site(), timezone_id="Asia/Tokyo", locale="en-GB")
    page.clock.set_fixed_time("2026-11-22T12:00:00Z")
    more = page.locator("more-fields")

    more.locator("summary").click()
    page.get_by_label("Start").fill("2026-12-25T09:30")
    expect(more).to_contain_text("25 Dec 2026, 00:30 UTC")
    page.get_by_label("Priority").fill("-3")
    more.locator("summary").click()
    expect(more.locator("summary")).to_contain_text("priority -3")
    with page.expect_request("**/api/videos") as sent:
        ask(page)

    expect(card(page).locator(".chip")).to_have_text("Scheduled")
    expect(card(page)).to_contain_text("25 Dec 2026, 09:30")
    expect(more.locator("summary")).not_to_contain_text("2026")
    body = sent.value.post_data_json
    assert ("2026-12-25T00:30:00.000Z", -3) == (body["run_at"], body["priority"])


def test_refusal_is_told_at_its_field(make_site: MakeSite, make_page: MakePage) -> None:
    """Also at one that is folded away; it goes when something is changed."""
    page = make_page(make_site())
    field = page.get_by_role("textbox", name="Webhook")
    note = page.locator("more-fields #form-note")

    page.locator("more-fields summary").click()
    field.fill("http://10.0.0.1/hook")
    page.locator("more-fields summary").click()
    ask(page)
    expect(note).to_contain_text("webhook_url must be")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("")
    expect(note).to_be_empty()
    ask(page)

    expect(card(page)).to_be_visible()


def test_reference_image_is_shown_and_sent(make_site: MakeSite, make_page: MakePage) -> None:
    """With a preview before; it leaves the form with the video that it was for."""
    page = make_page(make_site())
    picture = page.screenshot(clip={"x": 0, "y": 0, "width": 64, "height": 64})
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.headers.get("content-type", "")))

    page.locator("#reference").set_input_files(
        {"name": "boat.png", "mimeType": "image/png", "buffer": picture}
    )
    expect(page.get_by_alt_text("Reference image: boat.png")).to_be_visible()
    ask(page)
    expect(card(page)).to_be_visible()

    assert any(kind.startswith("multipart/form-data") for kind in sent)
    expect(page.get_by_alt_text("Reference image: boat.png")).to_be_hidden()


def test_quota_warns_near_its_end_and_refuses_behind_it(
    make_site: MakeSite, make_page: MakePage
) -> None:
    """The server's own words say why; what was typed stays."""
    site = make_site()
    quotas.change(site.ctx, USER, {"videos_limit": 5})
    for number in range(4):
        submissions.create(site.ctx, caller(USER), make_request(f"boat {number}"))
    page = make_page(site)

    expect(page.locator("quota-meter")).to_have_attribute("data-level", "near")
    ask(page, "the last one")
    expect(card(page, "the last one")).to_be_visible()
    expect(page.locator("quota-meter")).to_contain_text("Limit reached")
    expect(page.locator("create-form output")).to_contain_text("over your quota")
    ask(page, "one too many")

    expect(page.get_by_role("alert").filter(has_text="Not accepted.")).to_contain_text("5")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("one too many")
    expect(card(page, "one too many")).to_have_count(0)


def test_same_wish_is_one_video_when_its_answer_was_lost(
    make_site: MakeSite, make_page: MakePage
) -> None:
    """The page sends the same Idempotency-Key again."""
    page = make_page(make_site())
    lost: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/videos", lose)

    ask(page)
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    page.get_by_role("button", name="Make video").click()

    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    expect(card(page).get_by_text("Completed")).to_be_visible()
    expect(card(page)).to_have_count(1)
    assert [202] == lost


def test_new_user_is_shown_how_to_begin(make_site: MakeSite, make_page: MakePage) -> None:
    """An empty gallery offers prompts to start with."""
    page = make_page(make_site())

    page.get_by_role("button", name="A paper boat").click()

    expect(page.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
