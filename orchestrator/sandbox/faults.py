"""Misbehaviour on demand: what can go wrong, how it is written, and when it strikes.

A text of rules, separated by commas: `operation.kind[:value][=probability | @count]`.

    create.accept_then_cut=0.2      every fifth create, by chance
    create.429_retry_after:7@3      the next three creates, asked to wait 7 s
    list.lag:5                      always: new jobs stay out of lists for 5 s

`create` covers remixes, edits and extensions too. At most one rule strikes a request, the first
that does in the order written; the rules of `job` are drawn for each job that is accepted, all of
them independently.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

RULE = re.compile(
    r"(?P<name>[a-z]+\.[a-z0-9_]+)(?::(?P<value>[^=@]+))?(?:=(?P<chance>[0-9.]+)|@(?P<count>\d+))?"
)

# What any operation may suffer: it is not carried out (`hang` excepted, which only answers late).
ANYWHERE: Mapping[str, str] = {
    "400": "",
    "401": "",
    "403": "",
    "404": "",
    "429": "",
    "429_retry_after": "2",
    "500": "",
    "502": "",
    "503": "",
    "503_retry_after": "2",
    "html": "",
    "cut": "",
    "hang": "30",
}
CREATES: Mapping[str, str] = {
    "accept_then_cut": "",
    "500_after_accept": "",
    "html_after_accept": "",
    "no_id": "",
    "hang_then_cut": "30",
    "quota": "",
    "no_model": "",
    "moderation": "",
}
# operation -> kind -> the value that it takes where none is written
KINDS: Mapping[str, Mapping[str, str]] = {
    "create": {**ANYWHERE, **CREATES},
    "get": {**ANYWHERE, "unknown_status": "warming_up"},
    "list": {**ANYWHERE, "lag": "5", "empty": "", "ignore_after": ""},
    "content": {**ANYWHERE, "truncated": "", "wrong": "", "slow": "20000"},
    "delete": {**ANYWHERE, "409": ""},
    "job": {"fail": "", "stuck": "", "forget": "", "duration_spread": "1"},
}
NUMBERS = {
    "429_retry_after",
    "503_retry_after",
    "hang",
    "hang_then_cut",
    "lag",
    "slow",
    "duration_spread",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour that strikes now."""

    operation: str
    kind: str
    value: str

    @property
    def number(self) -> float:
        """The value of a kind that takes one: seconds, bytes a second or a factor."""
        return float(self.value)


@dataclass(slots=True)
class Rule:
    """A fault and when it strikes: by `chance` (0..1), or the next `left` times."""

    fault: Fault
    chance: float
    left: int | None
    fired: int = 0

    @property
    def name(self) -> str:
        """As it is written: `create.500`."""
        return f"{self.fault.operation}.{self.fault.kind}"


def parse_faults(text: str) -> list[Rule]:
    """The rules of a text. Raises ValueError that quotes the part it does not understand."""
    return [_rule(part.strip()) for part in text.split(",") if part.strip()]


def _rule(part: str) -> Rule:
    match = RULE.fullmatch(part)
    if match is None:
        raise ValueError(
            f"faults: cannot read {part!r}; write operation.kind[:value][=probability|@count]"
        )
    operation, _, kind = match["name"].partition(".")
    if operation not in KINDS:
        raise ValueError(
            f"faults: no operation {operation!r} in {part!r}; one of {', '.join(KINDS)}"
        )
    if kind not in KINDS[operation]:
        allowed = ", ".join(KINDS[operation])
        raise ValueError(f"faults: {operation!r} knows no {kind!r}; one of {allowed}")
    value = match["value"] or KINDS[operation][kind]
    if kind in NUMBERS and re.fullmatch(r"\d+(\.\d+)?", value) is None:
        raise ValueError(f"faults: the value in {part!r} must be a number")
    return Rule(
        Fault(operation, kind, value), _chance(match["chance"], part), _count(match["count"])
    )


def _chance(written: str | None, part: str) -> float:
    try:
        chance = 1.0 if written is None else float(written)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise ValueError(f"faults: the probability in {part!r} must be within 0..1")
    return chance


def _count(written: str | None) -> int | None:
    return None if written is None else int(written)


class Faults:
    """The rules in force. Safe to use from several threads."""

    def __init__(self, text: str = "", seed: int | None = None):
        self._lock = threading.Lock()
        self._seed = seed
        self.change(text)

    def change(self, text: str) -> None:
        """Put other rules in force; counts start anew. Raises ValueError and changes nothing."""
        rules = parse_faults(text)
        with self._lock:
            self.text = text
            self._rules = rules
            # One die per rule: requests of one kind do not shift what strikes another.
            self._dice = [
                random.Random(None if self._seed is None else f"{self._seed}:{number}:{rule.name}")  # noqa: S311
                for number, rule in enumerate(rules)
            ]

    def draw(self, operation: str) -> Fault | None:
        """What strikes this request, if anything."""
        return next(iter(self._struck(operation, first=True)), None)

    def draw_all(self, operation: str) -> list[Fault]:
        """Everything that strikes, each rule on its own."""
        return self._struck(operation, first=False)

    def fired(self) -> dict[str, int]:
        """How often each rule struck since it was put in force."""
        with self._lock:
            counts: dict[str, int] = {}
            for rule in self._rules:
                counts[rule.name] = counts.get(rule.name, 0) + rule.fired
            return counts

    def _struck(self, operation: str, *, first: bool) -> list[Fault]:
        struck: list[Fault] = []
        with self._lock:
            for rule, dice in zip(self._rules, self._dice, strict=True):
                if rule.fault.operation == operation and _strikes(rule, dice):
                    rule.fired += 1
                    struck.append(rule.fault)
                    if first:
                        break
        return struck


def _strikes(rule: Rule, dice: random.Random) -> bool:
    if rule.left is None:
        return dice.random() < rule.chance
    rule.left -= 1
    return rule.left >= 0
