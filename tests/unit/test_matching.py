"""Which listed video came of which attempt: only what the list shows exactly tells them apart."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.catalog import Provider
from orchestrator.matching import Open, match
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video
from tests.rig import make_catalog

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVERYTHING = frozenset({"model", "seconds", "size", "prompt"})


def make_provider(*, echoes: frozenset[str] = EVERYTHING, **changes: Any) -> Provider:
    (provider,) = make_catalog(echoes=echoes).providers.values()
    return replace(provider, **changes)


def make_open(
    name: str, sent: float = 0, *, state: str = "unknown", status: str = "queued", **wish: Any
) -> Open:
    """An attempt sent so many seconds after noon, with its video."""
    usual = {
        "id": name,
        "status": status,
        "kind": "create",
        "model": "sora-2",
        "prompt": "a kite",
        "seconds": "4",
        "size": "720x1280",
        "metadata": {},
        "cost_estimated": Decimal(0),
    }
    video = Video(**dict.fromkeys(Video._fields) | usual | wish)  # type: ignore[arg-type]
    known = {"video_id": name, "n": 1, "state": state, "sent_at": NOON + timedelta(seconds=sent)}
    attempt = Attempt(**{field.name: None for field in fields(Attempt)} | known)  # type: ignore[arg-type]
    return video, attempt


def make_found(name: str, created: float | None = 1, **shown: Any) -> ProviderVideo:
    """A listed video that was created so many seconds after noon."""
    usual: dict[str, Any] = {
        "model": "sora-2",
        "prompt": "a kite",
        "seconds": "4",
        "size": "720x1280",
    }
    return ProviderVideo(
        id=name,
        canonical_id=name,
        status="queued",
        raw_status="queued",
        created_at=None if created is None else NOON + timedelta(seconds=created),
        **(usual | shown),
    )


def pairs(
    waiting: list[Open], listed: list[ProviderVideo], provider: Provider | None = None, **rest: Any
) -> dict[str, str]:
    """What was matched, by names."""
    matched = match(provider or make_provider(), waiting, listed, **rest)
    return {video.id: found.id for (video, _), found in matched.pairs}


def test_match_pairs_oldest_with_oldest_when_requests_are_equal() -> None:
    """Equal requests are interchangeable, whoever's they are: first come, first served."""
    waiting = [make_open("late", 20, user_id="bob"), make_open("early", 0, user_id="ann")]

    matched = pairs(waiting, [make_found("second", 21), make_found("first", 1)])

    assert {"early": "first", "late": "second"} == matched


def test_match_serves_live_videos_before_cancelled_ones() -> None:
    """Of two equal requests the one that somebody still waits for gets the video."""
    waiting = [make_open("cancelled", 0, status="cancelled"), make_open("live", 1)]

    matched = pairs(waiting, [make_found("only", 2)])

    assert {"live": "only"} == matched


def test_match_serves_open_attempts_before_abandoned_ones() -> None:
    """What was given up takes only what nobody else fits."""
    waiting = [make_open("given up", 0, state="abandoned"), make_open("open", 1)]

    assert {"open": "a"} == pairs(waiting, [make_found("a", 2)])
    assert {"open": "a", "given up": "b"} == pairs(
        waiting, [make_found("a", 2), make_found("b", 3)]
    )


@pytest.mark.parametrize(
    "shown",
    [
        {"model": "sora-2-pro"},
        {"seconds": "8"},
        {"size": "1280x720"},
        {"prompt": "another kite"},
    ],
)
def test_match_refuses_video_that_shows_something_else(shown: dict[str, Any]) -> None:
    """A field that the list echoes must be what was asked for."""
    assert {} == pairs([make_open("mine")], [make_found("theirs", **shown)])


@pytest.mark.parametrize("field", ["model", "seconds", "size", "prompt"])
def test_match_ignores_field_that_list_does_not_show(field: str) -> None:
    """What is absent, or not echoed as it was sent, disqualifies nobody."""
    nothing: dict[str, Any] = {field: None}
    other: dict[str, Any] = {field: "whatever"}
    silent, rewritten = make_found("a", **nothing), make_found("a", **other)

    assert {"mine": "a"} == pairs([make_open("mine")], [silent])
    assert {"mine": "a"} == pairs(
        [make_open("mine")], [rewritten], make_provider(echoes=EVERYTHING - {field})
    )


def test_match_compares_upstream_name_of_model() -> None:
    """Where a provider knows the model by another name, its list shows that one."""
    provider = make_provider(models={"sora-2": "my-deployment"})

    assert {"mine": "a"} == pairs([make_open("mine")], [make_found("a", model="my-deployment")],
                                  provider)  # fmt: skip
    assert {} == pairs([make_open("mine")], [make_found("a", model="sora-2")], provider)


def test_match_compares_prompts_trimmed_and_composed() -> None:
    """Servers trim prompts and compose accents; that makes them no others."""
    waiting = [make_open("mine", prompt="  cafe\N{COMBINING ACUTE ACCENT} at night\n")]

    assert {"mine": "a"} == pairs(waiting, [make_found("a", prompt="café at night")])


def test_match_refuses_video_that_was_there_before_it_was_sent() -> None:
    """Only five seconds of slack are allowed for clocks."""
    assert {} == pairs([make_open("mine", 60)], [make_found("old", 54)])
    assert {"mine": "recent"} == pairs([make_open("mine", 60)], [make_found("recent", 56)])


def test_match_reads_times_on_the_clock_of_the_provider() -> None:
    """A provider whose clock is an hour behind has not made everything an hour before."""
    behind = timedelta(hours=-1)

    matched = pairs([make_open("mine", 60)], [make_found("a", 61 - 3600)], server_offset=behind)
    older = pairs([make_open("mine", 60)], [make_found("a", 50 - 3600)], server_offset=behind)

    assert ({"mine": "a"}, {}) == (matched, older)


def test_match_takes_undated_videos_last() -> None:
    """A list without dates still serves, after what is dated."""
    waiting = [make_open("first", 0), make_open("second", 1)]

    matched = pairs(waiting, [make_found("undated", None), make_found("dated", 3)])

    assert {"first": "dated", "second": "undated"} == matched


def test_match_gives_each_video_once() -> None:
    """One video serves one attempt."""
    assert {"a": "only"} == pairs([make_open("a"), make_open("b", 1)], [make_found("only", 2)])


def make_sure(
    waiting: list[Open], listed: list[ProviderVideo], **echoes: Any
) -> tuple[dict[str, str], set[str]]:
    """What was matched, and who may or may not be in the list, by names."""
    matched = match(make_provider(**echoes), waiting, listed)
    found = {video.id: found.id for (video, _), found in matched.pairs}
    return found, {video_id for video_id, _ in matched.unsure}


def test_match_is_unsure_when_list_hides_what_it_should_show() -> None:
    """The profile says that prompts are echoed; this server drops them: nobody gets what may be
    another one's.
    """
    waiting = [make_open("red", prompt="a red kite"), make_open("blue", 1, prompt="a blue kite")]

    found, unsure = make_sure(waiting, [make_found("one", 2, prompt=None)])

    assert ({}, {"red", "blue"}) == (found, unsure)


def test_match_is_sure_when_all_whom_it_fits_asked_for_the_same() -> None:
    """However little is shown: equal requests are interchangeable."""
    waiting = [make_open("first"), make_open("second", 1)]

    found, unsure = make_sure(waiting, [make_found("one", 2, prompt=None, model=None)])

    assert ({"first": "one"}, set()) == (found, unsure)


def test_match_is_unsure_when_one_of_two_has_an_image() -> None:
    """No list shows an image; where a lane did not keep them apart, nobody is given anything."""
    waiting = [make_open("plain"), make_open("image", 1, input_key="inputs/a.png")]

    found, unsure = make_sure(waiting, [make_found("one", 2)])

    assert ({}, {"plain", "image"}) == (found, unsure)


def test_match_prefers_what_is_sure() -> None:
    """Who finds a video that can be nobody else's needs no other one."""
    waiting = [make_open("red", prompt="a red kite"), make_open("blue", 1, prompt="a blue kite")]
    listed = [make_found("hidden", 2, prompt=None), make_found("blue's", 3, prompt="a blue kite")]

    found, unsure = make_sure(waiting, listed)

    assert ({"blue": "blue's"}, {"red"}) == (found, unsure)


def test_match_leaves_its_video_to_an_attempt_that_is_being_sent() -> None:
    """Its own answer will settle it; a cancelled one does not take it away."""
    waiting = [
        make_open("cancelled", 0, status="cancelled"),
        make_open("sent", 5, state="sent"),
    ]

    matched = match(make_provider(), waiting, [make_found("one", 6)])

    assert ([], 1, frozenset()) == (list(matched.pairs), matched.expected, matched.unsure)


def test_match_gives_nothing_to_those_given_up_while_one_is_open() -> None:
    """Open ones come first; what is left may be the late video of one that was given up."""
    waiting = [make_open("abandoned", 0, state="abandoned"), make_open("open", 5)]

    found, unsure = make_sure(waiting, [make_found("one", 6)])

    assert ({"open": "one"}, set()) == (found, unsure)
