"""A look at a provider from outside, for the operator: does it answer, is it what we believe?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.catalog import Profile
from orchestrator.errors import ProviderError
from orchestrator.providers.protocol import Probe
from orchestrator.providers.replies import Page, read_page
from orchestrator.providers.reply import Reply
from orchestrator.providers.requests import video_path

Ask = Callable[[str, Mapping[str, str]], Reply]

_LISTED = 20
_NO_ROUTE = {"detail": "Not Found"}
"""What FastAPI says where it has no route, as most of these servers are made with it."""
_NOBODYS_VIDEO = "video_00000000000000000000000000000000"


def probe(profile: Profile, ask: Ask) -> Probe:
    """Ask for the list, for a video that does not exist, and for its remix. `ask` raises
    ProviderError where no answer comes; nothing here costs money.
    """
    what, path, expected = "a video that does not exist", video_path(_NOBODYS_VIDEO), 404
    if profile.ids == "litellm":
        # For an id that it has not made it would ask the vendor, who does not know our key.
        what, path, expected = "its models", "/models", 200
    try:
        listed = ask("/videos", {"limit": str(_LISTED), **profile.list_query})
        asked = ask(path, {})
        remixed = ask(f"{video_path(_NOBODYS_VIDEO)}/remix", {})
    except ProviderError as error:
        return Probe(False, None, None, (f"It cannot be reached: {error.detail or error}.",))
    if {listed.status, asked.status} & {401, 403}:
        return Probe(True, False, None, (f"It does not accept our key: {_said(listed, asked)}",))
    page = read_page(listed.body, profile) if listed.ok else None
    problems = _list_problems(profile, listed, page)
    if asked.status != expected or asked.body is None:
        problems.append(
            f"Asked for {what}, it answers HTTP {asked.status} "
            f"instead of an API's {expected}: is the base URL right?"
        )
    accepted = True if page is not None or asked.status == expected else None
    remixes = _remixes(remixed, asked)
    problems += _remix_problems(profile, remixes)
    videos = page.videos if page is not None else ()
    return Probe(True, accepted, page is not None, tuple(problems), remixes, videos)


def _remixes(remixed: Reply, asked: Reply) -> bool | None:
    """Whether there is something that takes a POST there: routers tell of the wrong method, or that
    there is nothing at all, in other words than a video that does not exist.
    """
    if remixed.status == 405:
        return True
    if remixed.status == 404 and remixed.body == _NO_ROUTE != asked.body:
        return False
    return None


def _remix_problems(profile: Profile, remixes: bool | None) -> list[str]:
    if remixes is False and profile.remix == "remix":
        return ['It has no remix, though its profile says so: set remix = "none" for it.']
    if remixes is True and profile.remix == "none":
        return ['It has a remix, though its profile says none: try remix = "remix" for it.']
    return []


def _list_problems(profile: Profile, reply: Reply, page: Page | None) -> list[str]:
    if profile.list == "none":
        note = 'It has a list, though its profile says none: try list = "paged" for it.'
        return [note] if page is not None else []
    if page is None:
        note = (
            f"It does not list its videos (HTTP {reply.status}): a create of unknown outcome would "
            'stay unknown. Set list = "none" for it.'
        )
        return [note]
    problems = []
    if profile.list == "paged" and page.has_more is None:
        problems.append('Its list does not say has_more: set list = "unpaged" for it.')
    if page.videos:
        missing = sorted(f for f in profile.echoes if getattr(page.videos[0], f) is None)
        if missing:
            problems.append(
                f"Its list does not show {', '.join(missing)}, which its profile echoes: "
                "unknown outcomes may be matched wrongly. Set echoes for it."
            )
    return problems


def _said(*replies: Reply) -> str:
    return next(reply.detail for reply in replies if reply.status in {401, 403})
