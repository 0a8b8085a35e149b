"""Results as a picture: one bar for each contestant, ours in colour. Plain SVG, so that it needs no
library and a change of it can be read.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from bench.report import heading, shown
from bench.results import Result, is_ours

_WIDTH, _LABELS, _NUMBERS, _ROW, _TOP = 820, 330, 80, 28, 46
_OURS, _OTHERS = "#2563eb", "#94a3b8"


def svg(result: Result) -> str | None:
    """The picture of its `chart` metric; None if nobody shows that."""
    metric = result.chart or ""
    bars = [
        (who, figures[metric]) for who, figures in result.medians().items() if metric in figures
    ]
    if not bars:
        return None
    largest = max(value for _, value in bars) or 1.0
    height = _TOP + _ROW * len(bars) + 10
    rows = [_bar(place, who, value, value / largest) for place, (who, value) in enumerate(bars)]
    title = f"{escape(result.title)}, {escape(heading(metric))}"
    return "\n".join(
        [
            _frame(height),
            f'<text x="12" y="26" font-size="16" font-weight="bold">{title}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _frame(height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    )


def _bar(place: int, who: str, value: float, share: float) -> str:
    y = _TOP + _ROW * place
    width = max(1.0, share * (_WIDTH - _LABELS - _NUMBERS))
    colour = _OURS if is_ours(who) else _OTHERS
    return (
        f'<text x="{_LABELS - 8}" y="{y + 15}" text-anchor="end">{escape(who)}</text>'
        f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="20" rx="2" fill="{colour}"/>'
        f'<text x="{_LABELS + width + 6:.1f}" y="{y + 15}">{shown(value)}</text>'
    )
