"""From `s3://bucket/prefix?…` and `AWS_*` to a bucket that can be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from orchestrator.errors import ConfigurationError

_OPTIONS = ("region", "endpoint")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
# Credentials in their several forms, and encryption: handed on under the names that obstore knows.
_HANDED_ON = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
)


def open_bucket(url: str, env: Mapping[str, str]) -> S3Store:
    """The bucket of `url`; what the URL leaves open comes from `env`. Nothing is sent yet.

    An endpoint other than AWS is addressed by path (`endpoint/bucket/key`), and without TLS where
    it says `http://`. Raises ConfigurationError.
    """
    bucket, prefix, options = _parse(url)
    endpoint = options.get("endpoint") or _first(env, _ENDPOINTS)
    if endpoint and not re.match(r"https?://[^/\s]", endpoint):
        raise _unusable("its endpoint must begin with http:// or https://")
    if bool(env.get("AWS_ACCESS_KEY_ID")) != bool(env.get("AWS_SECRET_ACCESS_KEY")):
        raise _unusable("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together")
    config = {name.lower(): env[name] for name in _HANDED_ON if env.get(name)}
    if endpoint:
        config["aws_endpoint_url_s3"] = endpoint.rstrip("/")
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,  # type: ignore[arg-type]  # names computed, checked by obstore itself
            region=options.get("region") or _first(env, _REGIONS) or "us-east-1",
            # A dot in the bucket's name would not match AWS's certificate for *.s3.<region>.
            virtual_hosted_style_request=not endpoint and "." not in bucket,
            # Deleting in bulk is unknown to several servers, and we delete one object at a time.
            disable_bulk_delete=True,
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": "5s",
                # Ends a stall; also the time that a server has to take one part of an upload.
                "read_timeout": "60s",
                # Includes the body, whose pace is that of whoever downloads it through us.
                "timeout": "6h",
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )
    except (BaseError, ValueError) as error:
        raise _unusable("its prefix, region or endpoint is not understood") from error


def _parse(url: str) -> tuple[str, str, dict[str, str]]:
    """Bucket, prefix and options of an `s3://` URL."""
    parts = urlsplit(url)
    bucket = parts.netloc
    if "@" in bucket:
        raise _unusable("credentials belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        raise _unusable("the name of its bucket is missing or not valid")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown or parts.fragment:
        raise _unusable(f"after the ? it may have {' and '.join(_OPTIONS)}, nothing else")
    return bucket, unquote(parts.path).strip("/"), options


def _first(env: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"STORAGE_URL must be s3://bucket/prefix?region=…&endpoint=…: {reason}.",
        param="STORAGE_URL",
    )
