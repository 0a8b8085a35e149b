"""How a test uses the page of videos."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

PROMPT = "A paper boat sails down a rainy street, past reflections of neon signs"


def ask(page: Page, prompt: str = PROMPT) -> None:
    """Type a prompt and send it, as people who keep their hands on the keyboard do."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.keyboard.press("Control+Enter")


def card(page: Page, prompt: str = PROMPT) -> Locator:
    """The card of a video in the gallery."""
    return page.locator("video-card").filter(has=page.get_by_role("link", name=prompt, exact=True))
