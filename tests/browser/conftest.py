"""A real browser, and the rules that hold on every page that a test shows in it: nothing comes from
another host, nothing breaks the policy, and no script fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.browser.site import Site, site

MakePage = Callable[..., Page]
MakeSite = Callable[..., Site]
PATIENCE_MS = 30_000
DESKTOP = {"width": 1360, "height": 900}
_PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"
# It is to ask nobody for anything, and it runs as root in CI.
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What a browser writes to the console by itself when an answer is an error or a connection fails.
_EXPECTED = ("Failed to load resource", "net::ERR_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures are kept only when somebody wants new ones."""
    parser.addoption("--pictures", action="store_true", help="Write the pictures of docs/images.")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("There is no chromium here: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*_FLAGS])
        yield started
        started.close()


@pytest.fixture
def make_site(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[MakeSite]:
    """Starts a site with the behaviour that a test wants."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            site(database_url, redis_url, tmp_path, **options)
        )


@pytest.fixture
def make_page(browser: Browser) -> Iterator[MakePage]:
    """Opens pages of browsers that know nothing yet; afterwards the rules must have held."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def make(web: Site, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: _note(message, problems))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", lambda one: _check_host(one.url, web.url, problems))
        page.goto(web.url + path)
        return page

    yield make

    for context in contexts:
        context.close()
    assert [] == problems


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page, str], Path]:
    """Takes a picture of what a page shows, into docs/images if new ones are wanted."""
    folder = _PICTURES if request.config.getoption("--pictures") else tmp_path

    def take(page: Page, name: str) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.webp"
        with Image.open(BytesIO(page.screenshot(animations="disabled"))) as shot:
            shot.save(path, quality=85, method=6)
        return path

    return take


def _note(message: ConsoleMessage, problems: list[str]) -> None:
    text = message.text
    if message.type in {"error", "warning"} and not any(part in text for part in _EXPECTED):
        problems.append(f"{message.type}: {text}")


def _check_host(url: str, ours: str, problems: list[str]) -> None:
    if not url.startswith((ours, "blob:", "data:")):
        problems.append(f"asked for {url}")
