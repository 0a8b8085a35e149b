"""What `doctor` has to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check went. A warning is something to know; a failure stops the work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `advice` is empty where there is nothing to do."""

    name: str
    state: State
    message: str
    advice: str = ""
