"""Reading a table of a TOML file: typed, errors that name the place, no key left unread."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, TypeVar

from orchestrator.catalog.profile import Prices, SecondsRule, SizeRule
from orchestrator.errors import ConfigurationError

T = TypeVar("T")
_ABSENT = object()


class Table:
    """One table. Every read notes its key; `finish` refuses the keys that nobody read.

    All methods raise `ConfigurationError` where the value is not what they read.
    """

    def __init__(self, content: Mapping[str, Any], place: str):
        self.place = place
        self._content = content
        self._known: set[str] = set()

    def refused(self, key: str, expected: str) -> ConfigurationError:
        """The error for a value that is not `expected`."""
        where = f"{self.place}.{key}" if self.place else key
        return ConfigurationError(
            f"PROVIDERS_FILE: {where} must be {expected}.", param="PROVIDERS_FILE"
        )

    def finish(self) -> None:
        """Refuse what nobody read: a misspelt key would silently not count."""
        unknown = sorted(self._content.keys() - self._known)
        if unknown:
            raise ConfigurationError(
                f"PROVIDERS_FILE: {', '.join(unknown)} in {self.place or 'the file'} is unknown; "
                f"known are {', '.join(sorted(self._known))}.",
                param="PROVIDERS_FILE",
            )

    def tables(self, key: str) -> dict[str, Table]:
        """The tables below `key`, by name."""
        content = self._get(key, {})
        if not isinstance(content, dict) or not all(isinstance(t, dict) for t in content.values()):
            raise self.refused(key, f"tables such as [{key}.name]")
        prefix = f"{self.place}.{key}" if self.place else key
        return {name: Table(table, f"{prefix}.{name}") for name, table in content.items()}

    def text(self, key: str, default: str | None) -> str:
        """A text; without a default it must be there."""
        value = self._get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refused(key, "a text")
        return value.strip()

    def optional_text(self, key: str) -> str | None:
        """A text, or None where there is none."""
        return self.text(key, None) if self._get(key, None) is not None else None

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, "true or false")
        return value

    def number(self, key: str, default: float, *, low: float) -> float:
        """A number from `low` up."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < 1e9:
            raise self.refused(key, f"a number from {low:g} up")
        return float(value)

    def integer(self, key: str, default: int | None) -> int | None:
        """A whole number from 0 up; 0, like no value where there is no default, means no limit."""
        value = self._get(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.refused(key, "a whole number from 0 up (0 = no limit)")
        return value or None

    def choice(self, key: str, default: T, allowed: tuple[T, ...]) -> T:
        """One of a few words."""
        return self.one_of(self._get(key, default), allowed, key)

    def one_of(self, value: object, allowed: tuple[T, ...], key: str) -> T:
        """`value`, if it is allowed; the error is about `key`."""
        for candidate in allowed:
            if value == candidate:
                return candidate
        raise self.refused(key, f"one of {', '.join(map(str, allowed))}")

    def text_list(self, key: str) -> list[str]:
        """A list of texts; whole numbers count as texts: `seconds = [4, 8]` is natural."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(
            isinstance(entry, str | int) and not isinstance(entry, bool) for entry in value
        ):
            raise self.refused(key, "a list of texts")
        return [str(entry) for entry in value]

    def subset(self, key: str, default: frozenset[str], allowed: frozenset[str]) -> frozenset[str]:
        """A list of some of the allowed words."""
        if key not in self._content:
            self._known.add(key)
            return default
        words = frozenset(self.text_list(key))
        if not words <= allowed:
            raise self.refused(key, f"a list of {', '.join(sorted(allowed))}")
        return words

    def texts(self, key: str) -> dict[str, str]:
        """A table of texts."""
        value = self._get(key, {})
        if not isinstance(value, dict) or not all(isinstance(t, str) for t in value.values()):
            raise self.refused(key, "a table of texts")
        return value

    def mapping_or_list(self, key: str) -> dict[str, str]:
        """A table of texts, or a list of texts that stand for themselves."""
        if isinstance(self._get(key, {}), list):
            return {name: name for name in self.text_list(key)}
        return self.texts(key)

    def prices(self, key: str) -> Prices:
        """Dollars a second: `model = 0.1` or `model = {default = 0.1, "1024x1792" = 0.5}`."""
        table = self._get(key, {})
        if not isinstance(table, dict):
            raise self.refused(key, "a table of prices")
        prices: dict[tuple[str, str | None], Decimal] = {}
        for model, entry in table.items():
            by_size = entry if isinstance(entry, dict) else {"default": entry}
            for size, amount in by_size.items():
                prices[model, None if size == "default" else size] = self._money(key, amount)
        return prices

    def seconds(self, key: str, default: SecondsRule) -> SecondsRule:
        """A list of lengths, or `{min = 1, max = 10}`."""
        if not isinstance(self._get(key, {}), dict):
            allowed = self.text_list(key)
            if not allowed or not all(SecondsRule(high=9999).permits(each) for each in allowed):
                raise self.refused(key, "a list of whole seconds, or {min = 1, max = 10}")
            return SecondsRule(allowed=tuple(allowed))
        bounds = self._bounds(key, default.low, default.high, lowest=1, highest=9999)
        return SecondsRule(low=bounds[0], high=bounds[1]) if bounds else default

    def sizes(self, key: str, default: SizeRule) -> SizeRule:
        """A list of sizes, or `{min = 16, max = 4096}` for any even one within."""
        if not isinstance(self._get(key, {}), dict):
            allowed = self.text_list(key)
            any_size = SizeRule(low=2, high=99_998)
            if not allowed or not all(any_size.permits(size, "") for size in allowed):
                raise self.refused(key, "a list of WIDTHxHEIGHT, or {min = 16, max = 4096}")
            return SizeRule(allowed=tuple(allowed))
        bounds = self._bounds(key, default.low, default.high, lowest=2, highest=99_998)
        return SizeRule(low=bounds[0], high=bounds[1]) if bounds else default

    def _bounds(
        self, key: str, low: int, high: int, *, lowest: int, highest: int
    ) -> tuple[int, int] | None:
        if key not in self._content:
            return None
        inner = Table(self._content[key], f"{self.place}.{key}")
        first, last = inner.integer("min", low), inner.integer("max", high)
        inner.finish()
        if first is None or last is None or not lowest <= first <= last <= highest:
            raise self.refused(key, f"bounds between {lowest} and {highest}")
        return first, last

    def _money(self, key: str, amount: object) -> Decimal:
        expected = "dollars a second, from 0 up"
        if isinstance(amount, bool) or not isinstance(amount, int | float | str):
            raise self.refused(key, expected)
        try:
            value = Decimal(str(amount))
        except InvalidOperation:
            raise self.refused(key, expected) from None
        if not isfinite(value) or not 0 <= value < 10_000:
            raise self.refused(key, expected)
        return value

    def _get(self, key: str, default: Any) -> Any:
        self._known.add(key)
        return self._content.get(key, default)
