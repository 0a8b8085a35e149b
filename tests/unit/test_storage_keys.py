"""Which keys a storage takes."""

import pytest

from orchestrator.storage.keys import check_key, check_prefix, is_key


@pytest.mark.parametrize(
    "key",
    ["a", "videos/video_0192/" + "0" * 64 + ".mp4", "inputs/ab.png", "a-b/c_d/e.f.g", "a" * 255],
)
def test_key_is_taken_when_every_segment_is_plain(key):
    """The keys that we make pass unchanged."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "..",
        "../x",
        "videos/../../x",
        "videos//x",
        "videos/",
        "./x",
        ".staging/x",
        "videos/.hidden",
        "a\0b",
        "a\n",
        "a b",
        "a\\b",
        "a%2e%2e",
        "é",
        "a" * 256,
        "/".join(["a" * 100] * 10),
    ],
)
def test_key_is_refused_when_a_path_or_url_could_misread_it(key):
    """Nothing that climbs, hides, needs quoting or is too long becomes a key."""
    assert not is_key(key)
    with pytest.raises(ValueError, match="not a storage key"):
        check_key(key)


@pytest.mark.parametrize(
    ("prefix", "expected"), [("", ""), ("a", "a/"), ("a/", "a/"), ("a/b", "a/b/")]
)
def test_prefix_means_a_folder_with_or_without_its_slash(prefix, expected):
    """A prefix never ends in the middle of a name."""
    assert check_prefix(prefix) == expected


def test_prefix_is_refused_when_it_climbs():
    """A prefix obeys the rules of keys."""
    with pytest.raises(ValueError, match="not a storage key"):
        check_prefix("../")
