"""A second provider gets what the first turns away, and never what the first may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from orchestrator import dispatch
from orchestrator.catalog import Catalog, Model, SecondsRule
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from orchestrator.steps import submit
from tests.rig import Rig, make_catalog

MakeRig = Callable[..., Rig]


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
