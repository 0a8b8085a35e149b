"""Signed URLs that carry a file name, against an implementation that is not ours."""

from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from orchestrator.storage.signing import disposition, sign_with_filename


def signed_by_botocore(url, *, token=None, params=None):
    """`url`, signed for an hour with the key `key` and the secret `secret`."""
    request = AWSRequest("GET", url, params=params or {})
    auth = S3SigV4QueryAuth(Credentials("key", "secret", token), "s3", "eu-north-1", expires=3600)
    auth.add_auth(request)
    return request.url


@pytest.mark.parametrize("token", [None, "session/token+="])
@pytest.mark.parametrize(
    "url",
    [
        "https://bucket.s3.eu-north-1.amazonaws.com/videos/v/a.mp4",
        "http://127.0.0.1:9000/bucket/pre%20fix/a.mp4",
    ],
)
def test_signature_is_that_of_botocore_when_a_filename_is_added(url, token):
    """Signing again yields exactly what AWS's own library signs for the same second."""
    name = 'Ä "film" 1.mp4'
    params = {"response-content-disposition": disposition(name)}
    expected = parse_qs(urlsplit(signed_by_botocore(url, token=token, params=params)).query)
    plain = signed_by_botocore(url, token=token)
    plain = plain.replace(
        parse_qs(urlsplit(plain).query)["X-Amz-Date"][0], expected["X-Amz-Date"][0]
    )

    signed = sign_with_filename(plain, "secret", name)

    assert parse_qs(urlsplit(signed).query) == expected
    assert signed.startswith(f"{url}?")


def test_disposition_offers_both_forms_when_the_name_is_not_ascii():
    """Old clients get a harmless name, others the real one; nothing can end the header early."""
    assert (
        disposition('ä"\r\n.mp4') == 'attachment; filename="____.mp4"; '
        "filename*=UTF-8''%C3%A4%22%0D%0A.mp4"
    )
