"""What a provider says, made fit for users: without its request ids, keys, addresses, paths."""

from __future__ import annotations

import re

MESSAGE_LENGTH = 500

# The clause goes as a whole: without its number, "quote request ID" helps nobody.
_REQUEST_ID = re.compile(
    r"[(\[,;]?[^.,;!?()\[\]\n]*\b(?:request|trace|correlation)[\s_-]*id\b[^.,;!?()\[\]\n]*[)\]]?",
    re.IGNORECASE,
)
_INTERNAL = re.compile(
    r"""
      \b(?:req|resp|video|task|job|run|org|proj|key)[_-](?=[\w=-]*\d)[\w=-]{6,}
    | \b(?:sk-|whsec_)\S+
    | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b
    | \b(?=[a-f]*\d)[0-9a-f]{16,}\b
    | \b[a-z][a-z0-9+.-]*://\S+
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b
    | (?<!\w)(?:/[\w.@+-]+){2,}/?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_STRAY = re.compile(r"(?:\s+|[,.;:](?=[,.;:]))+([,.;:])")
_EMPTY = re.compile(r"\(\s*[:,;]?\s*\)|\[\s*\]|'\s*'|\"\s*\"|`\s*`")


def public_text(text: str) -> str:
    """One line of at most 500 characters without the provider's internals; may be empty."""
    cleaned = _REQUEST_ID.sub("", text[: 20 * MESSAGE_LENGTH])
    cleaned = _EMPTY.sub("", _INTERNAL.sub("", cleaned))
    cleaned = " ".join("".join(c if c.isprintable() else " " for c in cleaned).split())
    cleaned = _STRAY.sub(r"\1", cleaned).strip(" ,;:")
    if len(cleaned) > MESSAGE_LENGTH:
        cleaned = cleaned[: MESSAGE_LENGTH - 1].rstrip() + "…"
    return cleaned
