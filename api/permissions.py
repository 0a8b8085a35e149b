"""Who may call what, as a table: made from the contracts that guard the routes.

docs/reference/permissions.md shows it, and a test asks every route as every role whether it is so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask

from api.contract import Access, Contract, of

YES = "yes"
ROLES = ("no key", "dead key", "owner", "owner, read-only", "another user", "admin")
"""`dead`: unknown, revoked or expired. `owner`: the user whose thing the address names."""
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
# Arguments that name what belongs to nobody.
_SHARED = frozenset({"character_id", "filename", "model", "provider"})


@dataclass(frozen=True, slots=True)
class Permission:
    """One route, and for each of `ROLES` what it gets: `yes` (the request is looked at) or the
    status of its refusal.
    """

    method: str
    path: str
    endpoint: str
    cells: Mapping[str, str]


def table(app: Flask) -> list[Permission]:
    """Every route of this application, in the order of its address."""
    found = []
    for rule in app.url_map.iter_rules():
        promise = of(app.view_functions[rule.endpoint]) or Contract("", access=Access.ADMIN)
        owned = bool(set(rule.arguments) - _SHARED)
        path = _ARGUMENT.sub(r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            cells = _cells(promise, method, owned=owned)
            found.append(Permission(method, path, rule.endpoint, cells))
    return sorted(found, key=lambda one: (one.path, one.method))


def address(path: str, values: Mapping[str, Any]) -> str:
    """A path of the table with values for its arguments."""
    return re.sub(r"\{(\w+)\}", lambda name: str(values[name[1]]), path)


def _cells(promise: Contract, method: str, *, owned: bool) -> dict[str, str]:
    if promise.access == Access.PUBLIC:
        return dict.fromkeys(ROLES, YES)
    if promise.access == Access.ADMIN:
        user = another = "403"
    else:
        user, another = YES, "404" if owned else YES
    # What is made from a video its owner pays, so nobody else may ask for it.
    admin = "404" if owned and promise.creates else YES
    reader = user if promise.scope(method) == "read" else "403"
    return dict(zip(ROLES, ("401", "401", user, reader, another, admin), strict=True))
