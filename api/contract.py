"""What a view promises: who may call it, what it takes, what it answers.

The same object guards the route (`auth`) and describes it (`openapi`). A view without one is closed
to everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])
_ATTRIBUTE = "contract"


class Access(StrEnum):
    """Who may call a view."""

    PUBLIC = "public"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Contract:
    """The promise of one view.

    status, answer: of success; without `answer` the body is not JSON but `media`.
    creates: takes an Idempotency-Key.
    form: takes multipart/form-data besides JSON.
    waits: takes `Prefer: wait=N`.
    needs: the scope of a key, where the method alone does not say it: a POST that changes nothing,
        a GET that shows a secret.
    makes: the argument of other routes that the `id` in its answer is for.
    heeds, gives: further headers that it reads, and that its success has.
    machine: METRICS_TOKEN opens it too.
    facade: speaks as the OpenAI API does, in its errors too.
    also: the statuses that it may answer with besides, below 400.
    errors: the codes of errors that do not follow from the rest (see `responses`).
    """

    summary: str
    tag: str = "videos"
    access: Access = Access.USER
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    form: bool = False
    answer: type[BaseModel] | None = None
    media: tuple[str, ...] = ()
    status: int = 200
    creates: bool = False
    also: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()
    waits: bool = False
    needs: str = ""
    makes: str = ""
    heeds: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    machine: bool = False
    facade: bool = False
    hidden: bool = False

    def scope(self, method: str) -> str:
        """What a key must be for, to call this with that method."""
        if self.access == Access.ADMIN:
            return "admin"
        return self.needs or ("read" if method in {"GET", "HEAD"} else "write")


def contract(summary: str, **promise: Any) -> Callable[[View], View]:
    """Attach a `Contract` to a view."""

    def attach(view: View) -> View:
        setattr(view, _ATTRIBUTE, Contract(summary, **promise))
        return view

    return attach


def of(view: Callable[..., Any] | None) -> Contract | None:
    """The contract of a view; None if it has none."""
    return getattr(view, _ATTRIBUTE, None)
