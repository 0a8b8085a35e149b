"""A name for the file behind a signed URL.

obstore signs URLs, for every kind of credentials, but cannot add the parameter that makes S3 answer
with a `Content-Disposition`. So we add it and sign again, in the same scope and for the same time:
AWS Signature Version 4, query form.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit


def disposition(filename: str) -> str:
    """The header that saves a body as `filename`: in ASCII, and for RFC 6266 readers as it is."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def sign_with_filename(url: str, secret_key: str, filename: str) -> str:
    """The signed GET `url` once more, such that its answer is saved as `filename`."""
    query = dict(parse_qsl(urlsplit(url).query))
    query["response-content-disposition"] = disposition(filename)
    return sign_again(url, secret_key, query)


def sign_again(url: str, secret_key: str, query: dict[str, str]) -> str:
    """The signed GET `url` with the parameters `query`, among them its date and scope."""
    parts = urlsplit(url)
    unsigned = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
    canonical_query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in sorted(unsigned.items())
    )
    request = f"GET\n{parts.path}\n{canonical_query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = unsigned["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{unsigned['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signed_query = f"{canonical_query}&X-Amz-Signature={_hmac(key, to_sign).hex()}"
    return urlunsplit(parts._replace(query=signed_query))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
