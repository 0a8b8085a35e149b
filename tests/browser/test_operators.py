"""Signing in, and the page of the admins, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from orchestrator import accounts, submissions
from tests.browser.conftest import MakePage, MakeSite
from tests.browser.site import Site
from tests.core import caller, make_request

pytestmark = pytest.mark.timeout(180)  # a browser, a server and a sandbox, on two cores

KEYS = {"AUTH": "keys", "SECRET_KEY": "a secret of the tests"}


def tile(page: Page, name: str) -> Locator:
    """The figure under this name."""
    return page.locator(".tile").filter(has=page.get_by_text(name, exact=True)).locator("strong")


def sign_in(page: Page, key: str) -> None:
    """Paste a key into the dialog."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_key_opens_the_page_until_one_signs_out(make_site: MakeSite, make_page: MakePage) -> None:
    """A wrong key is refused in the server's words; the right one survives a reload."""
    site = make_site(**KEYS)
    key = accounts.create_key(site.ctx, "ann").secret
    page = make_page(site)
    dialog = page.get_by_role("dialog", name="Sign in")

    sign_in(page, "vo_wrong")
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    sign_in(page, key)
    expect(dialog).to_be_hidden()
    page.reload()
    expect(page.locator("[data-user]")).to_contain_text("ann")
    expect(page.get_by_text("No videos yet.")).to_be_visible()
    expect(page.get_by_role("link", name="Admin")).to_be_hidden()
    page.get_by_role("button", name="Sign out").click()

    expect(dialog).to_be_visible()


def test_dialog_comes_back_when_the_key_is_revoked(
    make_site: MakeSite, make_page: MakePage
) -> None:
    """A session lives as long as its key."""
    site = make_site(**KEYS)
    made = accounts.create_key(site.ctx, "ann")
    page = make_page(site)
    sign_in(page, made.secret)
    expect(page.get_by_text("No videos yet.")).to_be_visible()

    accounts.revoke_key(site.ctx, made.key.id)
    page.get_by_label("Prompt", exact=True).fill("a red kite")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


def test_stranger_may_sign_in_where_nobody_has_to(make_site: MakeSite, make_page: MakePage) -> None:
    """With ANONYMOUS=on the page is open, and the way in is on it."""
    site = make_site(**KEYS, ANONYMOUS="on")
    page = make_page(site)
    expect(page.locator("[data-user]")).to_contain_text("anonymous")

    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("API key").fill(accounts.create_key(site.ctx, "ann").secret)
    dialog.get_by_role("button", name="Sign in").click()

    expect(page.locator("[data-user]")).to_contain_text("ann")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_page_of_admins_is_empty_for_others(make_site: MakeSite, make_page: MakePage) -> None:
    """It says whom it is for."""
    site = make_site(**KEYS)
    page = make_page(site, "/admin")

    sign_in(page, accounts.create_key(site.ctx, "ann").secret)

    expect(page.get_by_role("alert").filter(has_text="for admins")).to_be_visible()


def test_admin_decides_about_a_held_video(make_site: MakeSite, make_page: MakePage) -> None:
    """Its user sees that it is held, and goes on watching once the admin has decided."""
    site = make_site(
        **KEYS,
        profile={"list": "none", "on_unknown": "hold"},
        faults="create.accept_then_cut@1",
    )
    user, admin = make_page(site), make_page(site, "/admin")
    sign_in(user, accounts.create_key(site.ctx, "ann").secret)
    sign_in(admin, accounts.create_key(site.ctx, "root", role="admin").secret)
    expect(user.get_by_text("No videos yet.")).to_be_visible()
    submissions.create(site.ctx, caller("ann"), make_request("a red kite"))
    expect(user.locator("video-card .chip")).to_have_text("Held")

    held = admin.locator("held-videos")
    expect(held).to_contain_text("a red kite")
    held.get_by_text("Decide", exact=True).click()
    held.get_by_role("button", name="Retry").click()

    expect(held).to_contain_text("Nothing waits for a decision.")
    expect(user.locator("video-card .chip")).to_have_text("Completed")


def test_admin_pauses_a_provider(make_site: MakeSite, make_page: MakePage) -> None:
    """Videos wait until it is resumed."""
    site = make_site()
    page = make_page(site, "/admin")

    page.get_by_role("button", name="Pause default").click()
    expect(page.locator("provider-list")).to_contain_text("paused on the dashboard")
    submissions.create(site.ctx, caller(), make_request("a red kite"))
    expect(tile(page, "Queued")).to_have_text("1")
    page.get_by_role("button", name="Resume default").click()

    expect(page.locator("provider-list")).to_contain_text("Working")
    expect(tile(page, "Queued")).to_have_text("0")
    expect(page.locator("throughput-plot .legend")).to_contain_text("1 completed")


def test_admin_changes_the_limits_of_a_user(make_site: MakeSite, make_page: MakePage) -> None:
    """The form keeps what is not touched, and says what cannot be."""
    site = make_site()
    submissions.create(site.ctx, caller("bob/two words"), make_request())
    page = make_page(site, "/admin")

    page.get_by_role("button", name="Change the limits of bob/two words").click()
    page.get_by_label("Videos a month").fill("7")
    page.get_by_label("Dollars a month").fill("2.50")
    page.get_by_role("button", name="Save").click()

    row = page.get_by_role("row").filter(has_text="bob/two words")
    expect(row).to_contain_text("1 of 7")
    expect(row).to_contain_text("of $2.50")


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("", "http://127.0.0.1:6000/"), ("ops/flower", "{site}/ops/flower/")],
    ids=["port", "prefix"],
)
def test_link_to_flower_leads_where_it_is(
    make_site: MakeSite, make_page: MakePage, prefix: str, expected: str
) -> None:
    """Below a prefix it has the origin of the page, whatever proxy and TLS are in front."""
    site = make_site(FLOWER_PORT="6000", FLOWER_URL_PREFIX=prefix)

    link = make_page(site, "/admin").get_by_role("link", name="Flower")

    expect(link).to_have_js_property("href", expected.format(site=site.url))


def test_admin_looks_at_the_videos_of_a_user(make_site: MakeSite, make_page: MakePage) -> None:
    """With their pictures; nothing can be changed, and new ones appear."""
    site = make_site()
    submissions.create(site.ctx, caller("bob/two words"), make_request("a red kite"))
    page = make_page(site, "/admin")

    page.get_by_role("link", name="bob/two words").click()
    cards = page.locator("video-card")
    expect(cards.get_by_text("Completed")).to_be_visible()
    expect(page.locator(".looked")).to_contain_text("bob/two words")
    expect(page.get_by_label("Prompt", exact=True)).to_be_hidden()
    expect(cards.get_by_role("button", name="Delete")).to_have_count(0)
    cards.get_by_role("button", name="Play").click()
    expect(cards.locator("video")).to_have_attribute("src", re.compile("^blob:"))
    submissions.create(site.ctx, caller("bob/two words"), make_request("a blue kite"))
    submissions.create(site.ctx, caller(), make_request("somebody else's"))

    expect(page.get_by_role("link", name="a blue kite", exact=True)).to_be_visible()
    expect(cards).to_have_count(2)


def test_user_is_not_shown_the_videos_of_another(make_site: MakeSite, make_page: MakePage) -> None:
    """The server's own words say why."""
    site = make_site(**KEYS)
    page = make_page(site, "/?user=bob")

    sign_in(page, accounts.create_key(site.ctx, "ann").secret)

    expect(page.locator("video-gallery")).to_contain_text("user_id is for admins.")


def test_admin_sends_a_webhook_again(make_site: MakeSite, make_page: MakePage) -> None:
    """The list can be narrowed to what failed."""
    site = make_site()
    wish = make_request(webhook_url="https://hooks.example.com/a")
    submissions.create(site.ctx, caller(), wish)
    page = make_page(site, "/admin")
    deliveries = page.locator("delivery-list")

    deliveries.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status").filter(has_text="It is sent again")).to_be_visible()
    expect(deliveries).to_contain_text("Pending")
    page.get_by_label("State").select_option("failed")

    expect(deliveries).to_contain_text("There is none.")


def test_admin_is_told_when_the_server_is_away(make_site: MakeSite, make_page: MakePage) -> None:
    """And when it is back."""
    site: Site = make_site()
    page = make_page(site, "/admin")
    expect(page.locator("[data-light=live]")).to_be_visible()

    site.stop()
    expect(page.locator("[data-light=offline]")).to_be_visible()
    site.start()

    expect(page.locator("[data-light=live]")).to_be_visible()
