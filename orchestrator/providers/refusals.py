"""From what a server answered to what it means: one error of ours for each reply that is no video.

Creates are judged by one question, "could it be at work now?": unless the answer is a clear no, the
outcome is unknown. Reads are judged by "what do we know now?", which is often nothing.
"""

from __future__ import annotations

import re
from datetime import datetime

from orchestrator.errors import (
    ContentInvalid,
    ContentNotReady,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderRejected,
    ProviderTransient,
)
from orchestrator.providers.redaction import public_text
from orchestrator.providers.replies import MODERATED, Problem, read_problem
from orchestrator.providers.reply import Reply

SOURCE_GONE = "source_gone"

_NO_CREDIT = re.compile(r"insufficient|billing|budget|credit|exceeded your current quota", re.I)
_NO_MODEL = re.compile(r"model_not_found|deployment_?not_?found|invalid_model", re.IGNORECASE)
_NOT_READY = re.compile(
    r"not (?:yet )?(?:ready|available|complete|finished)|still|in.progress|processing|pending"
    r"|being generated|queued",
    re.IGNORECASE,
)
_CLOUD_URL = re.compile(r"use the cloud url", re.IGNORECASE)

# 3xx that promise that nothing was done; 302 and 303 are also how a done POST is answered.
_MOVED = frozenset({301, 307, 308})


def create_refusal(reply: Reply, now: datetime) -> ProviderError:
    """What a reply to a create or remix means when it tells of no video."""
    problem = read_problem(reply.body)
    status = reply.status
    if reply.ok or status in {302, 303, 408}:
        return _error(ProviderAmbiguous, reply, "The provider's answer cannot be read.")
    if status >= 500:
        return _server_error(reply, now)
    if problem.moderated:
        message = _said(reply, problem) or "The provider's moderation blocked this request."
        return _error(ProviderRejected, reply, message, code=MODERATED)
    if status == 425 or (status == 429 and not _out_of_credit(reply, problem)):
        return _busy(reply, now)
    misconfigured = _misconfigured(reply, problem)
    if misconfigured is not None:
        return misconfigured
    return _error(
        ProviderRejected,
        reply,
        _said(reply, problem) or f"The provider refuses this request (HTTP {status}).",
    )


def remix_refusal(reply: Reply, now: datetime) -> ProviderError:
    """As `create_refusal`; but a 404 speaks of the source."""
    if reply.status in {404, 410}:
        message = "The video to build on is no longer there."
        return _error(ProviderRejected, reply, message, code=SOURCE_GONE)
    return create_refusal(reply, now)


def read_refusal(reply: Reply, now: datetime) -> ProviderError:
    """What a reply to a question means when it answers nothing."""
    if reply.status in {404, 410}:
        return _error(ProviderMissing, reply, "The provider does not know this video.")
    return _nothing_learnt(reply, now)


def list_refusal(reply: Reply, now: datetime) -> ProviderError:
    """What a reply to a list means when it is none; a 404 says nothing about any one video."""
    if reply.status in {404, 405, 410}:
        return _error(ProviderTransient, reply, "The provider does not list its videos.")
    return _nothing_learnt(reply, now)


def content_refusal(reply: Reply, now: datetime) -> ProviderError:
    """What a reply to a download means when it is not the bytes."""
    # A page of HTML under a 200 may say anything; only a server's own JSON is believed there.
    words = "" if reply.ok and reply.body is None else reply.text[:1000]
    if _CLOUD_URL.search(words):
        return _error(
            ProviderMisconfigured,
            reply,
            "The provider keeps its files in a cloud of its own and does not hand them out here: "
            "switch its cloud storage off.",
        )
    if reply.ok or 400 <= reply.status < 500:
        if _NOT_READY.search(words) or reply.status in {409, 425}:
            return _error(ContentNotReady, reply, "The provider does not have the bytes yet.")
        if reply.status == 404:
            # A server that forgot the file says the same as one that is not done; both may change.
            gone = re.search(r"\bvideo\b.{0,80}\bnot found|no such video", words, re.IGNORECASE)
            return _error(ProviderMissing if gone else ContentNotReady, reply, "")
    if reply.ok or reply.status in {400, 406, 415, 416, 422}:
        return _error(ContentInvalid, reply, "What the provider sent is not the video.")
    return read_refusal(reply, now)


def _server_error(reply: Reply, now: datetime) -> ProviderError:
    """503 is a refusal where the server itself says so; a proxy's bare page may hide a success."""
    spoken = isinstance(reply.body, dict) and read_problem(reply.body).message
    if reply.status == 503 and (spoken or reply.retry_after(now) is not None):
        return _busy(reply, now)
    return _error(ProviderAmbiguous, reply, f"The provider failed (HTTP {reply.status}).")


def _nothing_learnt(reply: Reply, now: datetime) -> ProviderError:
    status = reply.status
    if status == 429 or (status == 503 and reply.retry_after(now) is not None):
        return _busy(reply, now)
    # A storage server that we were sent to has not seen our key.
    if not reply.foreign and (status in {401, 402, 403} or 300 <= status < 400):
        misconfigured = _misconfigured(reply, read_problem(reply.body))
        if misconfigured is not None:
            return misconfigured
    return _error(ProviderTransient, reply, f"The provider's answer says nothing (HTTP {status}).")


def _misconfigured(reply: Reply, problem: Problem) -> ProviderMisconfigured | None:
    status = reply.status
    if status in {401, 403}:
        reason = "The provider does not accept our key."
    elif _out_of_credit(reply, problem):
        reason = "Our account at the provider is out of credit."
    elif status in {404, 405} or _NO_MODEL.search(problem.code):
        reason = "The provider has no such model, deployment or address."
    elif 300 <= status < 400:
        reason = "The provider sends us elsewhere: its base URL has changed."
    else:
        return None
    said = _said(reply, problem)
    message = f'{reason} It says: "{said}"' if said else f"{reason} (HTTP {status})"
    return ProviderMisconfigured(message, http_status=status, detail=reply.detail)


def _out_of_credit(reply: Reply, problem: Problem) -> bool:
    """By status or code. A message counts only with a 429: elsewhere it may quote the prompt, and
    a prompt must not be able to pause the provider."""
    return (
        reply.status == 402
        or _NO_CREDIT.search(problem.code) is not None
        or (reply.status == 429 and _NO_CREDIT.search(problem.message) is not None)
    )


def _said(reply: Reply, problem: Problem) -> str:
    return public_text(reply.without_secret(problem.message))


def _busy(reply: Reply, now: datetime) -> ProviderBusy:
    return ProviderBusy(
        http_status=reply.status, retry_after=reply.retry_after(now), detail=reply.detail
    )


def _error(
    kind: type[ProviderError], reply: Reply, message: str, *, code: str | None = None
) -> ProviderError:
    return kind(message, code=code, http_status=reply.status, detail=reply.detail)
