"""A second provider gets what the first turns away, and never what the first may have."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from orchestrator import dispatch, fallbacks, submissions
from orchestrator.catalog import Catalog, Model, SecondsRule
from orchestrator.db import videos as video_rows
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from orchestrator.records import Caller
from orchestrator.steps import submit
from tests.core import race
from tests.rig import MakeRig, Rig, make_catalog


def two_providers(**second: Any) -> Catalog:
    """`sora-2` at the default provider, with a second one behind it."""
    base = make_catalog()
    (first,) = base.providers.values()
    other = replace(first, name="second", account="other", **second)
    names = (first.name, other.name)
    return Catalog(
        providers={first.name: first, other.name: other}, models={"sora-2": Model("sora-2", names)}
    )


def turned_away(rig: Rig, error: ProviderError, **fields: Any) -> str:
    """A video that met this error, after two sweeps: the name of its provider."""
    rig.upstream.script("create", error)
    video = rig.submitted(**fields)
    dispatch.sweep(rig.ctx)
    return rig.video(video).provider


@pytest.mark.parametrize(
    "error", [ProviderBusy(http_status=429), ProviderBusy(http_status=503), ProviderUnreachable()]
)
def test_video_goes_to_the_fallback_when_it_was_turned_away(
    make_rig: MakeRig, error: ProviderError
) -> None:
    """429, 503 and connect failures: the second provider is asked, and runs it."""
    rig = make_rig(catalog=two_providers())

    name = turned_away(rig, error)
    video_id = rig.rings[-1][1]
    submit.submit(rig.ctx, video_id)

    assert "second" == name
    assert ("in_progress", "second", "other") == (
        rig.video(video_id).status,
        rig.video(video_id).provider,
        rig.attempts(rig.video(video_id))[-1].account,
    )


def test_waiting_videos_follow_when_their_provider_is_paused(make_rig: MakeRig) -> None:
    """Also such as had a slot at it already."""
    rig = make_rig(catalog=two_providers())
    first, second = rig.want(), rig.want()
    rig.upstream.script("create", ProviderBusy(http_status=429, retry_after=100))
    submit.submit(rig.ctx, first.id)

    dispatch.sweep(rig.ctx)
    dispatch.sweep(rig.ctx)

    assert ["second", "second"] == [rig.video(video).provider for video in (first, second)]


def test_video_stays_when_its_outcome_was_ever_unknown(make_rig: MakeRig) -> None:
    """The first provider may have it: a second one would be paid for the same."""
    rig = make_rig(catalog=two_providers())
    rig.upstream.script("create", ProviderAmbiguous(), ProviderBusy(http_status=429))
    video = rig.submitted()
    rig.clean_look()
    rig.clean_look()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    dispatch.sweep(rig.ctx)

    assert ["abandoned", "rejected"] == rig.states(video)
    assert "default" == rig.video(video).provider


def test_video_fails_when_its_request_was_refused(make_rig: MakeRig) -> None:
    """Nobody shops for a provider with looser rules."""
    rig = make_rig(catalog=two_providers())

    name = turned_away(rig, ProviderRejected("No.", code="moderation_blocked", http_status=400))

    assert ("default", 1) == (name, rig.upstream.count("create"))


def test_remix_stays_with_the_provider_of_its_source(make_rig: MakeRig) -> None:
    """Nobody else has the source."""
    rig = make_rig(catalog=two_providers())
    source = rig.generated()
    rig.store(source)
    remix = rig.remix(source)
    rig.upstream.script("remix", ProviderBusy(http_status=429))
    submit.submit(rig.ctx, remix.id)

    dispatch.sweep(rig.ctx)

    assert "default" == rig.video(remix).provider


def test_video_stays_when_the_fallback_would_not_take_it(make_rig: MakeRig) -> None:
    """Its rules are checked anew: four seconds only, and eight are asked for."""
    base = two_providers()
    strict = replace(base.providers["second"].profile, seconds=SecondsRule(allowed=("4",)))
    rig = make_rig(catalog=two_providers(profile=strict))

    name = turned_away(rig, ProviderBusy(http_status=429), seconds="8")

    assert "default" == name


def test_video_stays_when_the_fallback_is_paused_too(make_rig: MakeRig) -> None:
    """Then it waits where it is."""
    rig = make_rig(catalog=two_providers())
    rig.sql(
        "insert into providers (name, account, paused_until, pause_reason) "
        "values ('second', 'other', now() + interval '1 hour', 'Busy.')"
    )

    assert "default" == turned_away(rig, ProviderBusy(http_status=429))


def test_dearest_price_is_reserved_and_the_real_one_charged(make_rig: MakeRig) -> None:
    """A fallback never costs more than was reserved; what it costs is by its own prices."""
    rig = make_rig(catalog=two_providers(prices={("sora-2", None): Decimal("0.50")}))
    video = rig.want(seconds="4")
    reserved = rig.quota().cost_used
    rig.upstream.script("create", ProviderBusy(http_status=429))
    submit.submit(rig.ctx, video.id)
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)
    rig.upstream.becomes("up_1", "completed")
    rig.look(video)
    rig.store(video)

    assert (Decimal(2), Decimal(2)) == (reserved, rig.video(video).cost_actual)
    assert Decimal(2) == rig.quota().cost_used


def pause_all(rig: Rig, *names: str) -> None:
    """Let these providers be paused for an hour."""
    for name in names:
        provider = rig.ctx.catalog.providers[name]
        rig.sql(
            "insert into providers (name, account, paused_until, pause_reason) "
            "values (:name, :account, now() + interval '1 hour', 'Busy.')",
            name=provider.name,
            account=provider.account,
        )


def at_second(rig: Rig, user: str) -> int:
    """How many videos of this user wait at the second provider."""
    return int(
        rig.sql("select count(*) from videos where provider = 'second' and user_id = :u", u=user)
    )


def strict_second(seconds: str) -> Catalog:
    """Two providers, of which the second takes one length only."""
    profile = two_providers().providers["second"].profile
    return two_providers(profile=replace(profile, seconds=SecondsRule(allowed=(seconds,))))


def test_backlog_is_left_alone_when_nobody_is_open(make_rig: MakeRig) -> None:
    """All providers are paused: no video is looked at, let alone locked."""
    rig = make_rig(catalog=two_providers())
    pause_all(rig, "default", "second")
    rig.want_many(5)
    asked: list[str] = []
    engine = rig.ctx.database._engine
    note = lambda *args: asked.append(args[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", note)

    moved = fallbacks.reroute(rig.ctx)

    event.remove(engine, "before_cursor_execute", note)
    assert 0 == moved
    assert [] == [statement for statement in asked if "videos" in statement]


def test_videos_that_stay_do_not_stand_before_those_that_move(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a sweep looks at are too long for the second provider; the one behind them goes."""
    monkeypatch.setattr(fallbacks, "BATCH", 3)
    rig = make_rig(catalog=strict_second("4"))
    pause_all(rig, "default")
    rig.want_many(7, seconds="8")
    short = rig.want(seconds="4")

    dispatch.sweep(rig.ctx)

    assert "second" == rig.video(short).provider
    assert 1 == at_second(rig, "ann")


def test_long_backlog_of_one_user_does_not_keep_others_from_moving(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fallback is as fair as the sweep: every user's first videos go in the first round."""
    monkeypatch.setattr(fallbacks, "BATCH", 4)
    rig = make_rig(catalog=two_providers())
    pause_all(rig, "default")
    rig.want_many(20, user="ann")
    rig.want_many(1, user="bob")

    moved = fallbacks.reroute(rig.ctx)

    assert (3, 2, 1) == (moved, at_second(rig, "ann"), at_second(rig, "bob"))


def test_video_that_is_locked_is_left_to_the_next_sweep(make_rig: MakeRig) -> None:
    """Somebody is just cancelling it: nobody waits for that."""
    rig = make_rig(catalog=two_providers())
    pause_all(rig, "default")
    held, free = rig.want(), rig.want()

    with rig.ctx.database.transaction() as connection:
        video_rows.lock(connection, held.id)
        moved = fallbacks.reroute(rig.ctx)
    later = fallbacks.reroute(rig.ctx)

    assert (1, 1) == (moved, later)
    assert ["second", "second"] == [rig.video(video).provider for video in (held, free)]


def test_sweeps_at_once_move_each_video_once(make_rig: MakeRig) -> None:
    """Eight look at the same moment; what one has moved the others leave."""
    rig = make_rig(catalog=two_providers())
    pause_all(rig, "default")
    rig.want_many(30)

    moved = race(*[lambda: fallbacks.reroute(rig.ctx)] * 8)

    assert 30 == sum(count for count in moved if isinstance(count, int))
    assert 30 == at_second(rig, "ann")


def test_retry_may_move_as_its_source_could(make_rig: MakeRig) -> None:
    """Who would take it is asked anew when a failed video is asked for again."""
    rig = make_rig(catalog=two_providers())
    rig.upstream.script("create", ProviderRejected("No.", code="provider_rejected"))
    failed = rig.submitted()
    again = submissions.retry(rig.ctx, Caller("ann"), failed.id).video
    rig.upstream.script("create", ProviderBusy(http_status=429))
    submit.submit(rig.ctx, again.id)

    dispatch.sweep(rig.ctx)

    assert "second" == rig.video(again).provider


def test_video_comes_back_when_the_first_provider_is_open_again(make_rig: MakeRig) -> None:
    """It waits at the fallback, which now turns everybody away: the order of the model counts."""
    rig = make_rig(catalog=two_providers())
    video = rig.want()
    rig.sql("update videos set admitted_at = null, provider = 'second', account = 'other'")
    pause_all(rig, "second")

    dispatch.sweep(rig.ctx)

    assert "default" == rig.video(video).provider
