"""What makes two requests the same, and what they look like in a provider's list."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest

from orchestrator.fingerprints import fingerprint, lane, of_create, plain
from orchestrator.lifecycle import Kind
from tests.core import make_video

WHOLE = frozenset({"model", "seconds", "size", "prompt"})


def test_fingerprint_is_equal_when_only_the_order_differs():
    """JSON objects have no order."""
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a kite "},
        {"prompt": "A kite"},
        {"prompt": "a kite", "priority": None},
        {"prompt": "a kite", "metadata": {}},
        {"prompt": None},
        {},
    ],
)
def test_fingerprint_differs_when_anything_differs(other):
    """The same key with any other body is another request."""
    assert fingerprint({"prompt": "a kite"}) != fingerprint(other)


CREATE = {
    "kind": Kind.CREATE,
    "model": "sora-2",
    "prompt": "a kite",
    "seconds": "4",
    "size": "720x1280",
    "quality": None,
    "metadata": {},
    "priority": 0,
    "run_at": None,
    "webhook_url": None,
    "input_sha256": None,
}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prompt": 'a "kite"\\\n\t\x00\x1f\x7f\u2028 \ud800 \u51e7 \U0001f300'},
        {"prompt": ""},
        {"metadata": {"b": [1.0, 1e22], "a": True}},
        {"priority": 1},
        {"run_at": NOON},
        {"run_at": NOON.astimezone(timezone(timedelta(hours=9)))},
        {"quality": "high", "webhook_url": "https://example.com/hook", "input_sha256": "0" * 64},
    ],
)
def test_fingerprint_of_a_create_is_that_of_its_body(changes):
    """However it is made: what was asked for before it was made faster is known again."""
    body = {**CREATE, **changes}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)

    expected = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    assert expected == of_create(body) == of_create(body) == fingerprint(body)


def test_fingerprint_takes_times_and_any_text():
    """Bodies hold datetimes, and text in every script, lone surrogates included."""
    moment = datetime(2026, 11, 22, tzinfo=UTC)

    made = fingerprint({"run_at": moment, "prompt": "凧 \ud800"})

    assert 64 == len(made)
    assert made != fingerprint({"run_at": moment, "prompt": "凧 \ud801"})


def test_lane_is_shared_by_those_that_look_alike_in_the_list():
    """Where the prompt is not listed, two prompts share a lane; where it is, they do not."""
    one, other = make_video(), make_video(prompt="a blue kite")

    without = WHOLE - {"prompt"}
    assert lane(one, without, "sora-2") == lane(other, without, "sora-2")
    assert lane(one, WHOLE, "sora-2") != lane(other, WHOLE, "sora-2")


def test_lane_goes_by_the_name_that_the_provider_has_for_the_model():
    """A list shows deployment names, not ours."""
    video = make_video()

    assert lane(video, WHOLE, "my-sora") != lane(video, WHOLE, "sora-2")


def test_lane_ignores_fields_that_no_video_has():
    """A profile may name what we never send."""
    video = make_video()

    assert lane(video, WHOLE | {"fps"}, "sora-2") == lane(video, WHOLE, "sora-2")


@pytest.mark.parametrize(
    "written", ["caf\u00e9 at noon", "cafe\u0301 at noon", "  caf\u00e9 at noon\n"]
)
def test_plain_prompts_are_trimmed_and_composed(written):
    """Servers trim, and some decompose accents."""
    assert "café at noon" == plain(written)
