"""What the pages look like, and whether everybody can use them."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from orchestrator import endings, quotas, submissions, videos
from tests.browser.conftest import MakePage, MakeSite
from tests.browser.site import Site
from tests.core import caller, make_request

pytestmark = pytest.mark.timeout(300)  # several renderings, on two cores

USER = caller("test_user")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
MAX_BYTES = 150 * 1024
PATIENCE = 60.0
SCENES = (
    ("A paper boat sails down a rainy street, past reflections of neon signs", "480x832"),
    ("Steam rises from a bowl of ramen at a night market, slow push in", "480x832"),
    ("Waves roll over black sand at dawn, seen from a drone", "832x480"),
    ("A red kite over a grassy park, filmed from the tip of a pine", "480x832"),
    ("Macro: frost grows over a fern leaf, time-lapse", "480x832"),
)


def show_every_state(site: Site) -> None:
    """Videos that nobody wants any longer, that failed, that were completed, and that run."""
    unwanted = submissions.create(site.ctx, USER, make_request("A tent in a storm")).video
    endings.cancel(site.ctx, USER, unwanted.id)
    misbehave(site, "create.moderation@1")
    submissions.create(site.ctx, USER, make_request("A duel at noon, much too close"))
    wait_for(site, "failed", 1)
    made = [
        submissions.create(site.ctx, USER, make_request(prompt, size=size, seconds="2")).video
        for prompt, size in SCENES
    ]
    wait_for(site, "completed", len(made))
    remix = "The same street at sunrise, the boat in gold foil"
    submissions.remix(site.ctx, USER, made[0].id, remix)
    wait_for(site, "completed", len(made) + 1)
    misbehave(site, "job.stuck")
    submissions.create(site.ctx, USER, make_request("A train crosses a viaduct in fog"))
    wait_for(site, "in_progress", 1)


def misbehave(site: Site, faults: str) -> None:
    """Put these faults of the sandbox in force."""
    address = f"{site.sandbox.root_url}/sandbox/faults"
    request = urllib.request.Request(address, faults.encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=PATIENCE):
        pass


def wait_for(site: Site, status: str, number: int) -> None:
    """Until the user has so many videos of that status."""
    deadline = time.monotonic() + PATIENCE
    while videos.stats(site.ctx, USER.user_id)[status] < number:
        assert time.monotonic() < deadline, f"there are no {number} that are {status}"
        time.sleep(0.1)


@pytest.fixture
def busy(make_site: MakeSite) -> Site:
    """A site where everything that can be seen of a video is to be seen."""
    site = make_site(pictures=True, render_seconds=8)
    show_every_state(site)
    return site


def violations(page: Page) -> list[str]:
    """What axe finds, by rule and element."""
    page.wait_for_timeout(400)  # colours that are still fading in are not what people read
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_pages_can_be_used_by_everybody(
    make_site: MakeSite, make_page: MakePage, scheme: str, width: str
) -> None:
    """By axe's rules: names, roles, contrast, order; with a dialog, a message and an error, too."""
    site = make_site(faults="create.moderation@1")
    for prompt in ("a duel", "a kite"):
        submissions.create(site.ctx, USER, make_request(prompt))
    wait_for(site, "completed", 1)
    quotas.change(site.ctx, USER.user_id, {"videos_limit": 1})
    options = {"color_scheme": scheme, "bypass_csp": True, **(PHONE if width == "phone" else {})}
    page = make_page(site, **options)
    expect(page.locator("video-card")).to_have_count(2)
    page.locator("more-fields summary").click()

    found = {"videos": violations(page)}
    page.get_by_label("Prompt", exact=True).fill("one too many")
    page.get_by_role("button", name="Make video").click()
    expect(page.get_by_role("alert").filter(has_text="Not accepted.")).to_be_visible()
    found["error"] = violations(page)
    page.get_by_role("link", name="a kite", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remix").click()
    expect(page.locator(".timeline")).to_be_visible()
    found["history"] = violations(page)
    page.goto(f"{site.url}/admin")
    expect(page.locator("provider-list")).to_contain_text("Working")
    found["admin"] = violations(page)

    assert {name: [] for name in found} == found


def test_dialog_to_sign_in_can_be_used_by_everybody(
    make_site: MakeSite, make_page: MakePage
) -> None:
    """It is the first thing that a stranger sees."""
    page = make_page(make_site(AUTH="keys", SECRET_KEY="s"), bypass_csp=True)
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()

    assert [] == violations(page)


@pytest.mark.parametrize("path", ["/", "/admin"])
def test_page_fits_a_phone(make_site: MakeSite, make_page: MakePage, path: str) -> None:
    """Nobody has to scroll sideways, on the smallest phone and with the longest words either."""
    site = make_site()
    wish = make_request(f"a {'very' * 40} long word", webhook_url=f"https://a.example/{'b' * 200}")
    submissions.create(site.ctx, USER, wish)
    wait_for(site, "completed", 1)
    page = make_page(site, path, **PHONE | {"viewport": {"width": 320, "height": 640}})
    expect(page.locator("video-card, delivery-list table").first).to_be_visible()

    assert 320 == page.evaluate("document.documentElement.scrollWidth")


def test_everything_can_be_reached_by_keyboard(make_site: MakeSite, make_page: MakePage) -> None:
    """From the first Tab to the history of a video and back to where one was."""
    site = make_site()
    submissions.create(site.ctx, USER, make_request("a red kite"))
    wait_for(site, "completed", 1)
    page = make_page(site)
    title = page.get_by_role("link", name="a red kite", exact=True)
    expect(title).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(60):
        page.keyboard.press("Tab")
        if title.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(title).to_be_focused()


def test_pictures_show_the_pages(
    busy: Site, make_page: MakePage, picture: Callable[[Page, str], Path]
) -> None:
    """By day, by night and on a phone; small enough to lie beside the documentation."""
    taken = []
    for name, path, options in (
        ("videos-light", "/", {}),
        ("videos-dark", "/", {"color_scheme": "dark"}),
        ("videos-phone", "/", {**PHONE, "device_scale_factor": 2}),
        ("admin-light", "/admin", {}),
        ("history-dark", "/", {"color_scheme": "dark"}),
    ):
        page = make_page(busy, path, **options)
        expect(page.locator("video-card, throughput-plot svg").first).to_be_visible()
        if name.startswith("history"):
            page.get_by_role("link", name=SCENES[0][0], exact=True).click()
            expect(page.locator(".tree")).to_be_visible()
        page.wait_for_timeout(1_500)  # thumbnails and the first frame of a player
        taken.append(picture(page, name))

    assert [] == [path.name for path in taken if path.stat().st_size > MAX_BYTES]
