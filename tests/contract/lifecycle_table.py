"""What becomes of a video, by fault and by kind of server: the expectations of the suite, and the
page of the documentation that says the same.

`python -m tests.contract.lifecycle_table` writes the page anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from orchestrator.catalog import PROFILES
from tests.contract.lifecycle_stage import Ending

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults-by-profile.md"


class Outcome(NamedTuple):
    """An ending, and what it means in words."""

    ending: Ending
    meaning: str


def _outcome(meaning: str, end: str, *attempts: str, made: int, quota: str, cost: int) -> Outcome:
    return Outcome(Ending(end, attempts, made, quota, bool(cost)), meaning)


HANG = 2.0
"""Seconds of silence that an impatient story does not sit out."""
ACCEPTED, REJECTED, UNKNOWN = "accepted", "rejected", "unknown"
ADOPTED, ABANDONED = "unknown, then accepted", "unknown, then abandoned"

OUTCOMES: Mapping[str, Outcome] = {
    "completed": _outcome(
        "Submitted once, completed.", "completed", ACCEPTED, made=1, quota="kept", cost=1
    ),
    "adopted": _outcome(
        "The outcome was unknown; the video was found at the provider and completed. Nothing was "
        "sent again.",
        "completed",
        ADOPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "same key": _outcome(
        "The outcome was unknown; sent again under the same `Idempotency-Key`, which that server "
        "honours, and completed.",
        "completed",
        ADOPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "sent again": _outcome(
        "The outcome was unknown; two clean looks at the list did not show it; sent once more and "
        "completed.",
        "completed",
        ABANDONED,
        ACCEPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "sent again thrice": _outcome(
        "As *sent again*, after each of the three.",
        "completed",
        *[ABANDONED] * 3,
        ACCEPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "waited": _outcome(
        "Refused for now: the provider was paused with a reason, then the video was sent again, "
        "until it was taken. Refusals do not count against `MAX_ATTEMPTS`.",
        "completed",
        *[REJECTED] * 7,
        ACCEPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "refused": _outcome(
        "Failed as `provider_rejected`; the quota is given back.",
        "failed: provider_rejected",
        REJECTED,
        made=0,
        quota="released",
        cost=0,
    ),
    "blocked": _outcome(
        "Failed as `moderation_blocked`, at the door; the quota is given back. Never sent again.",
        "failed: moderation_blocked",
        REJECTED,
        made=0,
        quota="released",
        cost=0,
    ),
    "blocked later": _outcome(
        "Failed as `moderation_blocked`, by the job; the quota is given back. Never sent again.",
        "failed: moderation_blocked",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "failed": _outcome(
        "Failed under the provider's own code; the quota is given back.",
        "failed: video_generation_failed",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "failed, no code": _outcome(
        "Failed as `generation_failed`, since the server gives no code of its own; the quota is "
        "given back.",
        "failed: generation_failed",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "timed out": _outcome(
        "Failed as `timeout`; the quota is given back, the provider's video is watched further "
        "for a day, or cancelled there where that is possible.",
        "failed: timeout",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "content lost": _outcome(
        "Failed as `content_lost`; the quota is given back, the cost stays booked. Never made "
        "again for that.",
        "failed: content_lost",
        ACCEPTED,
        made=1,
        quota="released",
        cost=1,
    ),
    "lost": _outcome(
        "Failed as `lost`; the quota is given back. Never sent again.",
        "failed: lost",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "made anew": _outcome(
        "The outcome was unknown, and the provider had forgotten the video by the time of asking: "
        "sent again and completed.",
        "completed",
        ABANDONED,
        ACCEPTED,
        made=2,
        quota="kept",
        cost=1,
    ),
    "made anew, same key": _outcome(
        "The outcome was unknown; sent again under the same `Idempotency-Key`, which the provider "
        "had forgotten with the video; completed.",
        "completed",
        ADOPTED,
        made=2,
        quota="kept",
        cost=1,
    ),
    "doubled": _outcome(
        "**Made twice.** The list did not show the video when asked, twice; it was sent again and "
        "completed. When the first one shows up within a day, it is watched, its cost is booked "
        "and `duplicates_total` counts it.",
        "completed",
        ADOPTED,
        ACCEPTED,
        made=2,
        quota="kept",
        cost=1,
    ),
    "held": _outcome(
        "The outcome is unknown, and no list tells: held for an operator. Never sent again by "
        "itself. The provider has the video.",
        "held",
        UNKNOWN,
        made=1,
        quota="reserved",
        cost=0,
    ),
    "held, not made": _outcome(
        "As *held*; the provider does not have the video.",
        "held",
        UNKNOWN,
        made=0,
        quota="reserved",
        cost=0,
    ),
    "resolved by retry": _outcome(
        "Held; the operator said *retry*: sent again and completed.",
        "completed",
        ABANDONED,
        ACCEPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "given up": _outcome(
        "Failed as `outcome_unknown`; the quota is given back. The attempt is kept for a day.",
        "failed: outcome_unknown",
        ABANDONED,
        made=1,
        quota="released",
        cost=0,
    ),
    "never sent": _outcome(
        "Cancelled; the provider never hears of it; the quota is given back.",
        "cancelled",
        made=0,
        quota="released",
        cost=0,
    ),
    "stopped": _outcome(
        "Cancelled here and there; nothing is charged, the quota is given back.",
        "cancelled",
        ACCEPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "paid": _outcome(
        "Cancelled here; the server cannot be stopped, so its video is watched to its end: the "
        "cost is booked and the count is kept.",
        "cancelled",
        ACCEPTED,
        made=1,
        quota="kept",
        cost=1,
    ),
    "found, stopped": _outcome(
        "Cancelled; found at the provider later and cancelled there. The quota is given back.",
        "cancelled",
        ADOPTED,
        made=1,
        quota="released",
        cost=0,
    ),
    "found, paid": _outcome(
        "Cancelled; found at the provider later and watched to its end: the cost is booked. The "
        "quota was given back at once.",
        "cancelled",
        ADOPTED,
        made=1,
        quota="released",
        cost=1,
    ),
    "cancelled, unknown": _outcome(
        "Cancelled; no list tells what became of it. The quota is given back, the attempt is kept "
        "for a day.",
        "cancelled",
        ABANDONED,
        made=1,
        quota="released",
        cost=0,
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happens, and the outcome for each profile.

    story: which function of the suite plays it. faults: in the sandbox's language, in force from
    before the submission.
    """

    what: str
    outcomes: Mapping[str, str]
    faults: str = ""
    prompt: str = "a red kite"
    story: str = "plain"

    @property
    def id(self) -> str:
        """A name for the test of this row."""
        return "-".join(filter(None, (self.story, self.faults, *self.prompt.split()[3:])))


def _each(usual: str, **others: str) -> dict[str, str]:
    named = {name.replace("_", "-"): outcome for name, outcome in others.items()}
    return {profile: named.get(profile, usual) for profile in PROFILES}


_DONE = _each("completed")
_TAKEN = _each("adopted", litellm="held", orchestrator="same key")
_NOT_TAKEN = _each("sent again", litellm="held, not made", orchestrator="same key")
_UNCODED = "failed, no code"
_CANCELS = dict.fromkeys(("vllm_omni", "trtllm", "orchestrator", "sandbox"), "stopped")
_FOUND = dict.fromkeys(_CANCELS, "found, stopped")

SECTIONS: Mapping[str, tuple[Row, ...]] = {
    "Submitting": (
        Row("nothing goes wrong", _DONE),
        Row("connection cut after the server accepted", _TAKEN, "create.accept_then_cut@1"),
        Row("500 after the server accepted", _TAKEN, "create.500_after_accept@1"),
        Row("a page of HTML after the server accepted", _TAKEN, "create.html_after_accept@1"),
        Row("accepted, but the reply has no id", _TAKEN, "create.no_id@1"),
        Row(
            "accepted, but the answer takes longer than we wait",
            _TAKEN,
            f"create.hang:{HANG}@1",
            story="impatient_create",
        ),
        Row("connection cut before the server accepted", _NOT_TAKEN, "create.cut@1"),
        Row(
            "no answer for longer than we wait, nothing accepted",
            _NOT_TAKEN,
            f"create.hang_then_cut:{HANG}@1",
            story="impatient_create",
        ),
        Row(
            "500, 502, HTML, nothing accepted",
            _each("sent again thrice", litellm="held, not made", orchestrator="same key"),
            "create.500@1,create.502@1,create.html@1",
        ),
        Row(
            "429, with Retry-After and without, 503, 401, 403, no credit, no such model",
            _each("waited"),
            "create.429@1,create.429_retry_after:7@1,create.503_retry_after:7@1,create.401@1,"
            "create.403@1,create.quota@1,create.no_model@1",
        ),
        Row("400", _each("refused"), "create.400@1"),
        Row("refused by moderation", _each("blocked"), prompt="a red kite [refuse]"),
    ),
    "Finding out about an unknown outcome (after a cut behind the acceptance)": (
        Row(
            "the list answers 500, then a page of HTML, then cuts",
            _TAKEN,
            "create.accept_then_cut@1,list.500@2,list.html@2,list.cut@2",
        ),
        Row(
            "the list shows new videos 20 s late", _TAKEN, "create.accept_then_cut@1,list.lag:20@9"
        ),
        Row(
            "the list takes longer to answer than we wait",
            _TAKEN,
            f"create.accept_then_cut@1,list.hang:{HANG}@1",
            story="impatient_read",
        ),
        Row(
            "the list believes that there is always more",
            _TAKEN,
            "create.accept_then_cut@1,list.ignore_after",
        ),
        Row(
            "the list omits the video at both looks",
            _each("doubled", litellm="held", orchestrator="same key"),
            "create.accept_then_cut@1,list.empty@2",
            story="late",
        ),
        Row(
            "the server restarts and forgets everything",
            _each("made anew", litellm="held", orchestrator="made anew, same key"),
            "create.accept_then_cut@1",
            story="forget_unknown",
        ),
        Row(
            "the user cancels before it is known",
            _each("found, paid", **_FOUND, litellm="cancelled, unknown"),
            "create.accept_then_cut@1",
            story="cancel_unknown",
        ),
    ),
    'No usable list (`list = "none"`; LiteLLM\'s own profile says so)': (
        Row("the operator adopts the provider's video", _each("adopted"), story="adopt"),
        Row(
            "nothing was accepted, and the operator says retry",
            _each("resolved by retry"),
            story="retry",
        ),
        Row("the operator says fail", _each("given up"), story="give_up"),
        Row('`on_unknown = "retry"`', _each("resolved by retry"), story="on_unknown_retry"),
        Row('`on_unknown = "fail"`', _each("given up"), story="on_unknown_fail"),
    ),
    "While the video is made": (
        Row(
            "the job fails",
            _each("failed", sglang=_UNCODED, vllm_omni=_UNCODED, trtllm=_UNCODED),
            "job.fail",
        ),
        Row(
            "the job is blocked by moderation",
            _each("blocked later"),
            prompt="a red kite [moderation]",
        ),
        Row(
            "GET answers 404, 500, 429, HTML, 401, cuts, a status nobody knows",
            _DONE,
            "get.404@1,get.500@2,get.429@1,get.html@2,get.401@1,get.cut@2,get.unknown_status@1",
        ),
        Row(
            "GET takes longer to answer than we wait",
            _DONE,
            f"get.hang:{HANG}@2",
            story="impatient_read",
        ),
        Row("the job never ends", _each("timed out"), "job.stuck", story="stuck"),
        Row("the server restarts and forgets everything", _each("lost"), story="forget_running"),
        Row("the user cancels before it is sent", _each("never sent"), story="cancel_queued"),
        Row(
            "the user cancels; where that is a DELETE, it answers 409, then 500, then does it",
            _each("paid", **_CANCELS),
            "delete.409@1,delete.500@1",
            story="cancel_running",
        ),
    ),
    "Fetching the content": (
        Row(
            "404, 500, HTML, JSON under a 200, a cut half way, a cut before the first byte",
            _DONE,
            "content.404@1,content.500@2,content.html@1,content.wrong@1,content.truncated@1,"
            "content.cut@2",
        ),
        Row(
            "the bytes take longer to begin than we wait",
            _DONE,
            f"content.hang:{HANG}@2",
            story="impatient_read",
        ),
        Row(
            "500 until the provider no longer keeps it",
            _each("content lost"),
            "content.500",
            story="expire",
        ),
    ),
}

ROWS = tuple(row for rows in SECTIONS.values() for row in rows)


def page() -> str:
    """The page of the documentation."""
    parts = [_HEAD]
    for title, rows in SECTIONS.items():
        parts += [f"\n## {title}\n\n", _line("what happens", *PROFILES)]
        parts.append(_line(*["---"] * (len(PROFILES) + 1)))
        parts += [_line(row.what, *(row.outcomes[name] for name in PROFILES)) for row in rows]
    parts.append("\n## What the words mean\n\n")
    parts.append(_line("outcome", "meaning", "submissions", "made there"))
    parts.append(_line(*["---"] * 4))
    parts += [_explained(name, outcome) for name, outcome in OUTCOMES.items()]
    return "".join(parts)


_HEAD = """\
# Faults by profile

What becomes of one video when something goes wrong, for every profile that ships. Each cell is a
test: `tests/contract/test_lifecycle_profiles.py` plays it with the real core over a sandbox that
speaks that server's dialect. This page is generated from the tests' own table by
`python -m tests.contract.lifecycle_table`.

After every one of these the checks of `orchestrator doctor --check` find nothing, no attempt was
accepted twice, and stored bytes belong to their video.
"""


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _explained(name: str, outcome: Outcome) -> str:
    attempts = "; ".join(outcome.ending.attempts) or "none"
    return _line(name, outcome.meaning, attempts, str(outcome.ending.made))


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
