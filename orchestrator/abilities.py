"""What a provider can do, held against its profile: by harmless reads, and by what it shows of the
videos that we have asked it for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator import matching
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import looks
from orchestrator.errors import ContentInvalid, OrchestratorError, ProviderMisconfigured
from orchestrator.providers import ProviderVideo


@dataclass(frozen=True, slots=True)
class Abilities:
    """What was found. reachable, key_accepted: as in `Probe`. seen: what fits the profile, in a few
    words each. problems: sentences for the operator.
    """

    reachable: bool
    key_accepted: bool | None
    seen: tuple[str, ...]
    problems: tuple[str, ...]


def look(ctx: Context, provider: Provider, *, remembered: bool = True) -> Abilities:
    """Ask a provider what can be asked without asking for a video.

    remembered: compare its list with the requests in our database.

    Raises:
        DependencyDown: PostgreSQL does not answer, and `remembered` needs it.
    """
    probe = ctx.pool.get(provider).probe()
    if not probe.reachable or probe.key_accepted is False:
        return Abilities(probe.reachable, probe.key_accepted, (), probe.problems)
    seen = []
    problems = list(probe.problems)
    if probe.lists and provider.profile.list != "none":
        seen.append("lists its videos")
    if remembered and probe.listed:
        compared, altered = _altered(ctx, provider, probe.listed)
        problems += altered
        if compared and not altered and provider.profile.echoes:
            fields = ", ".join(sorted(provider.profile.echoes))
            seen.append(f"shows {fields} as sent ({compared} compared)")
    if probe.remixes and provider.profile.remix == "remix":
        seen.append("remixes")
    finished = next((video for video in probe.listed if video.status == "completed"), None)
    if finished is not None:
        given, missing = _variants(ctx, provider, finished)
        problems += missing
        if given:
            seen.append(f"gives {', '.join(given)} of a finished video")
    return Abilities(True, probe.key_accepted, tuple(seen), tuple(problems))


def _altered(
    ctx: Context, provider: Provider, listed: Sequence[ProviderVideo]
) -> tuple[int, list[str]]:
    """How many listed videos are ours, and what they show otherwise than it was sent."""
    by_id = {video.canonical_id: video for video in listed}
    with ctx.database.statement() as connection:
        ours = looks.creates(connection, provider.name, provider.account, list(by_id))
    found: dict[str, tuple[str, str]] = {}
    for canonical_id, video in ours.items():
        found |= matching.changed(provider, video, by_id[canonical_id])
    return len(ours), [
        f"Its list shows {name} otherwise than it was sent ({_brief(shown)} for {_brief(sent)}), "
        "so a video that we have paid for may not be recognised: "
        f"take {name} out of its profile's echoes."
        for name, (sent, shown) in sorted(found.items())
    ]


def _brief(value: str) -> str:
    return repr(value if len(value) <= 40 else f"{value[:39]}…")


def _variants(
    ctx: Context, provider: Provider, finished: ProviderVideo
) -> tuple[list[str], list[str]]:
    """Which files of a finished video it begins to send, and which it has not, against its profile.
    What it does not give for another reason (by now it has forgotten them) tells nothing.
    """
    given = []
    missing = []
    for variant in ("video", *sorted(provider.profile.variants)):
        try:
            with ctx.pool.get(provider).download(finished.id, variant) as download:
                next(iter(download.chunks), None)
        except ContentInvalid:
            missing.append(
                f"What it gives as the {variant} of a finished video is none: "
                "another profile may fit it better."
            )
        except ProviderMisconfigured as error:
            missing.append(error.message)
        except OrchestratorError:
            continue
        else:
            given.append(variant)
    return given, missing
