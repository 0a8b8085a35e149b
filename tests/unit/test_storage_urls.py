"""What STORAGE_URL may say."""

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.storage import open_storage

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("/var/lib/videos", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("gs://bucket", "must be file:///absolute/folder or s3://bucket/prefix"),
        ("file:videos", "must be file:///absolute/folder"),
        ("file://host/videos", "must be file:///absolute/folder"),
        ("file:///videos?x=1", "percent-encoded"),
        ("file:///videos#1", "percent-encoded"),
        ("file:///videos%00", "must be file:///absolute/folder"),
        ("s3://", "the name of its bucket"),
        ("s3://bu cket", "the name of its bucket"),
        ("s3://key:secret@bucket", "credentials belong into"),
        ("s3://bucket/../x", "prefix, region or endpoint is not understood"),
        ("s3://bucket/a//b", "prefix, region or endpoint is not understood"),
        ("s3://bucket?regoin=x", "region and endpoint, nothing else"),
        ("s3://bucket#x", "region and endpoint, nothing else"),
        ("s3://bucket?endpoint=127.0.0.1:9000", "must begin with http:// or https://"),
    ],
)
def test_open_storage_explains_when_the_url_is_not_usable(url, reason):
    """A bad STORAGE_URL is a configuration error that says what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        open_storage(url, KEYS)

    assert reason in caught.value.message
    assert caught.value.param == "STORAGE_URL"


def test_open_storage_explains_when_half_of_the_credentials_is_missing():
    """A key without its secret is refused at once instead of being denied at the first upload."""
    with pytest.raises(ConfigurationError, match="belong together"):
        open_storage("s3://bucket", {"AWS_ACCESS_KEY_ID": "key"})


def test_open_storage_touches_nothing_when_it_opens(tmp_path):
    """Opening makes no folder and sends no request; the first use does."""
    open_storage(f"file://{tmp_path}/videos", {})
    open_storage("s3://bucket?endpoint=http://127.0.0.1:1", KEYS)

    assert list(tmp_path.iterdir()) == []
