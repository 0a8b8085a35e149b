"""Every error that the orchestrator raises on purpose.

OrchestratorError
├── InvalidRequest            the caller's input breaks a rule; names the field
├── Unauthenticated           no key, or one that does not (any longer) count
├── Forbidden                 a known caller may not do this
├── NotFound                  no such thing, or somebody else's
├── Conflict                  the thing is in a state that does not allow this
├── IdempotencyKeyReused      the same key came with another body
├── Gone                      it was here, and was pruned
├── QuotaExceeded             the month's videos or money are spent
├── RateLimited               too many requests
├── Unsupported               this provider cannot do this
├── DependencyDown            PostgreSQL, or what we cannot work without
│   ├── DependencyBusy        it answers, but somebody else holds what this needs
│   └── CommitUnknown         it went away while it was told to commit
├── ConfigurationError        the operator's settings make no sense
├── StorageError              the bytes could not be kept or read
│   └── ContentMissing        there is nothing under that key
└── ProviderError             what the provider did to us
    ├── ProviderUnreachable   it never got the request
    ├── ProviderBusy          it asks us to come later
    ├── ProviderRejected      it refuses this request, today and tomorrow
    ├── ProviderMisconfigured it refuses us, not the request
    ├── ProviderAmbiguous     it may have accepted: unknown
    ├── ProviderTransient     a read failed; it means nothing
    ├── ProviderMissing       it does not know this video
    ├── ContentNotReady       the video is there, its bytes are not yet
    └── ContentInvalid        what came was not the video

`code` is stable: clients may build on it. The HTTP status of each class is decided in
`api.errors`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EVIDENCE = 2000


class OrchestratorError(Exception):
    """The root: something that the orchestrator knows how to explain."""

    code = "internal_error"

    def __init__(self, message: str = "", *, param: str | None = None, code: str | None = None):
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.param = param
        if code is not None:
            self.code = code
        super().__init__(self.message)

    @property
    def extra(self) -> Mapping[str, Any]:
        """Further members of the problem document, JSON-ready."""
        return {}

    @property
    def evidence(self) -> dict[str, Any]:
        """What the row of an attempt keeps of it: `error`, `http_status`."""
        return {"error": self.message[:_EVIDENCE], "http_status": None}


class InvalidRequest(OrchestratorError):
    """The request is not valid."""

    code = "invalid_value"


class Unauthenticated(OrchestratorError):
    """A valid API key is needed: `Authorization: Bearer <key>`."""

    code = "unauthenticated"


class Forbidden(OrchestratorError):
    """This key may not do that."""

    code = "forbidden"


class NotFound(OrchestratorError):
    """There is no such thing here."""

    code = "not_found"


class Conflict(OrchestratorError):
    """The present state does not allow this."""

    code = "conflict"


class IdempotencyKeyReused(OrchestratorError):
    """This Idempotency-Key was used before with another request."""

    code = "idempotency_key_reused"


class Gone(OrchestratorError):
    """It existed and was removed for good."""

    code = "gone"


class QuotaExceeded(OrchestratorError):
    """The quota of this month is used up."""

    code = "quota_exceeded"

    def __init__(self, message: str, *, quota: Mapping[str, Any]):
        super().__init__(message)
        self.quota = quota

    @property
    def extra(self) -> Mapping[str, Any]:
        """`used`, `limit`, `remaining` (videos) and `reset_at` (RFC 3339)."""
        return self.quota


class RateLimited(OrchestratorError):
    """Too many requests."""

    code = "rate_limited"

    def __init__(self, message: str = "", *, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after


class Unsupported(OrchestratorError):
    """The provider of this model cannot do that."""

    code = "unsupported"


class DependencyDown(OrchestratorError):
    """A service that is needed for this does not answer. Try again soon."""

    code = "dependency_down"


class DependencyBusy(DependencyDown):
    """The database is too busy with other things. Nothing was changed."""

    code = "dependency_busy"


class CommitUnknown(DependencyDown):
    """Nobody knows whether this was done. To ask again with the same Idempotency-Key is safe."""

    code = "commit_unknown"


class ConfigurationError(OrchestratorError):
    """The configuration is not usable."""

    code = "configuration"


class StorageError(OrchestratorError):
    """The storage did not do what it was asked to (full, denied, out of reach): try later."""

    code = "storage_error"


class ContentMissing(StorageError):
    """There is nothing under this key."""

    code = "content_missing"


class ProviderError(OrchestratorError):
    """The provider did not do what it was asked to.

    `message` may be shown to users: it carries no ids or addresses of the provider.
    `detail` is the raw reply, cut, for the attempt's row and the operator.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ):
        super().__init__(message, code=code)
        self.http_status = http_status
        self.retry_after = retry_after
        self.detail = detail

    @property
    def evidence(self) -> dict[str, Any]:
        """The raw reply rather than what users may read of it."""
        said = (self.detail or self.message)[:_EVIDENCE]
        return {"error": said, "http_status": self.http_status}


class ProviderUnreachable(ProviderError):
    """The provider could not be reached; it never got the request."""

    code = "provider_unreachable"


class ProviderBusy(ProviderError):
    """The provider asks us to come back later.

    429 or 503; seconds in `retry_after` if it said when.
    """

    code = "provider_busy"


class ProviderRejected(ProviderError):
    """The provider refuses this request; asking again would not help."""

    code = "provider_rejected"


class ProviderMisconfigured(ProviderError):
    """The provider refuses us (key, access, credit, model): an operator must look."""

    code = "provider_misconfigured"


class ProviderAmbiguous(ProviderError):
    """The provider may or may not have accepted the request."""

    code = "outcome_unknown"


class ProviderTransient(ProviderError):
    """A read failed; this says nothing about the video."""

    code = "provider_transient"


class ProviderMissing(ProviderError):
    """The provider does not know this video."""

    code = "provider_missing"


class ContentNotReady(ProviderError):
    """The provider has the video but not its bytes yet."""

    code = "content_not_ready"


class ContentInvalid(ProviderError):
    """What the provider sent is not the video."""

    code = "content_invalid"
