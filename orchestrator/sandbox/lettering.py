"""Writes a prompt of any length in any script onto a shaded panel.

Pillow brings one Latin font. What it cannot write is looked for in fonts that many systems have;
what none of them can write is left out, so that no frame shows rows of empty boxes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "arial.ttf",
    "msyh.ttc",
)
LONGEST_TEXT = 900
SMALLEST_LETTERS = 8
# No font has a glyph for a noncharacter: what it draws is the picture of "missing".
NONCHARACTER = "\U0010ffff"

Font = ImageFont.FreeTypeFont
Run = tuple[Font, str]


@cache
def fonts(pixels: int) -> tuple[Font, ...]:
    """The fonts that can be had at that size, best first."""
    found = [font for font in [ImageFont.load_default(pixels)] if isinstance(font, Font)]
    for name in SYSTEM_FONTS:
        try:
            found.append(ImageFont.truetype(name, pixels))
        except OSError:
            continue
    return tuple(found)


@cache
def _missing(font: Font) -> bytes:
    return bytes(font.getmask(NONCHARACTER))


@lru_cache(maxsize=10_000)
def _font_for(letter: str, pixels: int) -> Font | None:
    for font in fonts(pixels):
        if letter == " " or bytes(font.getmask(letter)) not in (b"", _missing(font)):
            return font
    return None


def writable(text: str) -> str:
    """One line of the letters that some font can write; runs of others become an ellipsis."""
    kept: list[str] = []
    dropped = False
    for letter in unicodedata.normalize("NFC", " ".join(text[:LONGEST_TEXT].split())):
        category = unicodedata.category(letter)[0]
        if category == "C" or (category == "M" and dropped):
            continue
        dropped = category != "M" and _font_for(letter, 16) is None
        if not dropped:
            kept.append(letter)
        elif letter.isalnum() and kept[-1:] != ["…"]:
            kept.append("…")
    return " ".join("".join(kept).split()) + ("…" if len(text) > LONGEST_TEXT else "")


def runs(line: str, pixels: int) -> Iterator[Run]:
    """The line in pieces of one font each, in order."""
    current, piece = None, ""
    for letter in line:
        font = _font_for(letter, pixels)
        if font is None or (letter == " " and current is not None):
            font = current or fonts(pixels)[0]
        if font is not current and piece and current is not None:
            yield current, piece
            piece = ""
        current, piece = font, piece + letter
    if piece and current is not None:
        yield current, piece


def width_of(line: str, pixels: int) -> float:
    """How many pixels wide the line would be."""
    return sum(font.getlength(piece) for font, piece in runs(line, pixels))


def wrapped(text: str, pixels: int, room: float) -> list[str]:
    """The text in lines of at most `room` pixels; words longer than a line are broken."""
    lines, line = [], ""
    for word in text.split():
        candidate = f"{line} {word}".strip()
        if width_of(candidate, pixels) <= room:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = ""
        for letter in word:
            if line and width_of(line + letter, pixels) > room:
                lines.append(line)
                line = ""
            line += letter
    return [*lines, line] if line else lines


class Lettering:
    """Lays text out for a picture of `width` x `height` pixels."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.short = min(width, height)
        self.margin = round(self.short * 0.07)

    def panel(self, text: str, caption: str) -> Image.Image:
        """RGBA, as wide as the picture, to be laid at its bottom; empty where it is too small."""
        small = max(SMALLEST_LETTERS, round(self.short * 0.026))
        if self.short < SMALLEST_LETTERS * 5:
            return Image.new("RGBA", (self.width, 1), (0, 0, 0, 0))
        lines, pixels = self._fitted(writable(text))
        step = round(pixels * 1.28)
        block = step * len(lines) + round(small * 2.2)
        shade_height = min(self.height, block + self.margin + round(self.short * 0.35))
        panel = self._shade(shade_height)
        draw = ImageDraw.Draw(panel)
        top = shade_height - self.margin - block
        for number, line in enumerate(lines):
            self._write(draw, (self.margin, top + number * step + pixels), line, pixels, 245)
        if self.short >= SMALLEST_LETTERS * 20:
            baseline = (self.margin, shade_height - self.margin)
            self._write(draw, baseline, caption, small, 170)
        return panel

    def _fitted(self, text: str) -> tuple[list[str], int]:
        """The largest letters with which the text fills at most two fifths of the height."""
        room, floor = self.width - 2 * self.margin, max(SMALLEST_LETTERS, round(self.short * 0.03))
        pixels = max(floor, round(self.short * 0.082))
        while True:
            lines = wrapped(text, pixels, room)
            most = max(1, int(self.height * 0.4 / (pixels * 1.28)))
            if len(lines) <= most and (len(lines) <= 4 or pixels <= self.short * 0.05):
                return lines, pixels
            if pixels <= floor:
                return [*lines[: most - 1], f"{lines[most - 1][:-1]}…"], pixels
            pixels = max(floor, round(pixels * 0.86))

    def _shade(self, height: int) -> Image.Image:
        ramp = Image.linear_gradient("L").resize((self.width, height)).point(lambda v: v * 0.62)
        shade = Image.new("RGBA", (self.width, height), (6, 6, 16, 0))
        shade.putalpha(ramp)
        return shade

    def _write(
        self, draw: ImageDraw.ImageDraw, start: tuple[int, int], line: str, pixels: int, alpha: int
    ) -> None:
        x, baseline = float(start[0]), start[1]
        for font, piece in runs(line, pixels):
            draw.text((x, baseline), piece, (255, 255, 255, alpha), font, anchor="ls")
            x += font.getlength(piece)
