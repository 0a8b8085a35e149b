"""What a video shows: a slow field of light with its prompt written on it.

A `Look` is everything that decides the picture, so equal looks give equal pictures. A `Scene`
draws frames, `render` turns them into files. The motion is periodic, as a matter of cost: the
encoder does one cycle and repeats its packets, so a minute costs what a few seconds do.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO

from PIL import Image, ImageDraw, ImageFilter

from orchestrator.sandbox.lettering import Lettering

FPS = 24
LONGEST_CYCLE_SECONDS = 8
# Larger pictures are drawn at this area and scaled up by the encoder: the field is soft anyway.
CANVAS_AREA = 1280 * 720
GRID_SHORT_SIDE = 14
REMIX_HUE_TURN = 0.16
# How much the ground shows through; the lights weigh 1 at their centres.
GROUND = 0.22

Colour = tuple[int, int, int]
# Each palette: the ground first, then the lights that drift over it.
PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((18, 16, 54), (92, 46, 168), (240, 94, 138), (255, 171, 107), (44, 88, 196)),
    ((8, 34, 52), (16, 110, 130), (78, 198, 176), (238, 214, 150), (28, 64, 122)),
    ((46, 14, 40), (170, 42, 78), (246, 120, 80), (255, 204, 128), (96, 30, 110)),
    ((12, 28, 36), (32, 98, 82), (134, 186, 98), (244, 222, 134), (20, 70, 100)),
    ((22, 22, 66), (66, 76, 206), (126, 156, 252), (236, 172, 236), (104, 52, 172)),
    ((38, 22, 20), (150, 70, 44), (232, 150, 86), (250, 222, 178), (96, 42, 62)),
    ((10, 24, 60), (24, 88, 176), (92, 182, 236), (250, 232, 214), (82, 70, 170)),
    ((32, 16, 62), (122, 48, 150), (220, 92, 176), (120, 206, 232), (52, 40, 128)),
)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that decides the picture.

    `width` and `height` in pixels (even), `seconds` whole; `caption` is the small line below
    the prompt; `palette` is the ground colour, then the lights; `seed` decides the motion.
    """

    text: str
    caption: str
    width: int
    height: int
    seconds: int
    palette: tuple[Colour, ...]
    seed: int

    @property
    def digest(self) -> str:
        """Names the picture: equal looks, equal digests."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @property
    def cycle_frames(self) -> int:
        """After how many frames the motion repeats; the whole length if that is short."""
        cycles = math.ceil(self.seconds / LONGEST_CYCLE_SECONDS)
        return math.ceil(self.seconds * FPS / cycles)

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height in pixels at which frames are drawn; even, of the same shape."""
        shrink = min(1.0, math.sqrt(CANVAS_AREA / (self.width * self.height)))
        return _even(self.width * shrink), _even(self.height * shrink)


def look_of(prompt: str, caption: str, size: tuple[int, int], seconds: int) -> Look:
    """The look of a new video; the prompt alone decides its colours and motion."""
    seed = int.from_bytes(hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:8], "big")
    palette = PALETTES[seed % len(PALETTES)]
    return Look(prompt, caption, size[0], size[1], seconds, palette, seed)


def variant_of(source: Look, prompt: str, caption: str, seconds: int) -> Look:
    """A remix: the source's shape and motion under turned colours, with its own text."""
    palette = tuple(_turned(colour, REMIX_HUE_TURN) for colour in source.palette)
    return replace(source, text=prompt, caption=caption, seconds=seconds, palette=palette)


def coloured_by(look: Look, picture: bytes) -> Look:
    """The look in the colours of a reference image.

    Raises OSError (Pillow's UnidentifiedImageError is one) if the bytes are no readable image.
    """
    with Image.open(BytesIO(picture)) as opened:
        opened.draft("RGB", (64, 64))
        pixels = (
            opened.convert("RGB")
            .resize((48, 48))
            .quantize(len(PALETTES[0]))
            .convert("RGB")
            .tobytes()
        )
    colours: set[Colour] = set(zip(pixels[0::3], pixels[1::3], pixels[2::3], strict=True))
    palette = sorted(colours, key=lambda colour: (sum(colour), colour))
    # A picture of one colour still needs a light to move over its ground.
    return replace(look, palette=(*palette, _turned(palette[-1], REMIX_HUE_TURN)))


def _even(length: float) -> int:
    return max(16, round(length / 2) * 2)


def _turned(colour: Colour, turn: float) -> Colour:
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in colour))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, slots=True)
class _Light:
    """A colour that wanders on a closed curve; lengths in units of the picture's short side."""

    colour: Colour
    centre: tuple[float, float]
    reach: tuple[float, float]
    turns: tuple[int, int]
    phase: tuple[float, float]
    spread: float

    def at(self, moment: float) -> tuple[float, float]:
        """Where it is at `moment` (0..1 of the cycle)."""
        angle = math.tau * moment
        return (
            self.centre[0] + self.reach[0] * math.sin(self.turns[0] * angle + self.phase[0]),
            self.centre[1] + self.reach[1] * math.cos(self.turns[1] * angle + self.phase[1]),
        )


class Scene:
    """Draws the frames of one look. Not safe to share between threads."""

    def __init__(self, look: Look):
        self.look = look
        self.width, self.height = look.canvas
        self._aspect = (self.width / self._short, self.height / self._short)
        self._lights = self._wandering_lights()

    @property
    def _short(self) -> int:
        return min(self.width, self.height)

    def frame(self, number: int) -> Image.Image:
        """Frame `number` (0-based; it repeats after a cycle) as RGB, canvas-sized."""
        moment = (number % self.look.cycle_frames) / self.look.cycle_frames
        picture = self._field(moment).resize((self.width, self.height), Image.Resampling.BICUBIC)
        self._add_orbs(picture, moment)
        overlay = self._overlay
        picture.paste(overlay, (0, self.height - overlay.height), overlay)
        return picture

    def _wandering_lights(self) -> list[_Light]:
        dice = random.Random(self.look.seed)  # noqa: S311 - a picture, not a secret
        lights = [*self.look.palette[1:], *self.look.palette[1:3]]
        return [
            _Light(
                colour,
                centre=self._scattered(number, dice.random()),
                reach=(dice.uniform(0.15, 0.4), dice.uniform(0.15, 0.4)),
                turns=(1, dice.choice((1, 1, 2))),
                phase=(dice.uniform(0, math.tau), dice.uniform(0, math.tau)),
                spread=dice.uniform(0.2, 0.36),
            )
            for number, colour in enumerate(lights)
        ]

    def _scattered(self, number: int, start: float) -> tuple[float, float]:
        """A place for thing `number`: steps of irrational length never crowd, as chance does."""
        across, down = (start + number * 0.7549) % 1, (start * 3.7 + number * 0.5698) % 1
        return across * self._aspect[0], down * self._aspect[1]

    def _field(self, moment: float) -> Image.Image:
        """The soft colours, tiny; scaling up does the blending."""
        columns = max(2, round(GRID_SHORT_SIDE * min(self._aspect[0], 4)))
        rows = max(2, round(GRID_SHORT_SIDE * min(self._aspect[1], 4)))
        places = [(light.at(moment), light) for light in self._lights]
        pixels = bytearray()
        for row in range(rows):
            y = (row + 0.5) / rows * self._aspect[1]
            for column in range(columns):
                x = (column + 0.5) / columns * self._aspect[0]
                pixels += bytes(self._colour_at(x, y, places))
        return Image.frombytes("RGB", (columns, rows), bytes(pixels))

    def _colour_at(
        self, x: float, y: float, places: Sequence[tuple[tuple[float, float], _Light]]
    ) -> Colour:
        red, green, blue = self.look.palette[0]
        total, weight_sum = [GROUND * red, GROUND * green, GROUND * blue], GROUND
        for (light_x, light_y), light in places:
            distance = (x - light_x) ** 2 + (y - light_y) ** 2
            weight = math.exp(-distance / (2 * light.spread**2))
            weight_sum += weight
            for channel in range(3):
                total[channel] += weight * light.colour[channel]
        return (
            round(total[0] / weight_sum),
            round(total[1] / weight_sum),
            round(total[2] / weight_sum),
        )

    @cached_property
    def _orbs(self) -> list[tuple[_Light, Image.Image]]:
        """Faint discs of light, as masks; they make slow motion visible."""
        dice = random.Random(self.look.seed + 1)  # noqa: S311 - a picture, not a secret
        orbs = []
        for number in range(8):
            radius = max(2, round(self._short * dice.uniform(0.03, 0.11)))
            side = radius * 2 + 2
            mask = Image.new("L", (side * 2, side * 2), 0)
            ImageDraw.Draw(mask).ellipse((4, 4, side * 2 - 5, side * 2 - 5), dice.randint(16, 46))
            mask = mask.resize((side, side), Image.Resampling.LANCZOS)
            mask = mask.filter(ImageFilter.GaussianBlur(radius * 0.08))
            path = _Light(
                (255, 250, 240),
                centre=self._scattered(number, dice.random() * 0.2),
                reach=(dice.uniform(0.05, 0.2), dice.uniform(0.1, 0.3)),
                turns=(1, 1),
                phase=(dice.uniform(0, math.tau), dice.uniform(0, math.tau)),
                spread=0,
            )
            orbs.append((path, mask))
        return orbs

    def _add_orbs(self, picture: Image.Image, moment: float) -> None:
        for path, mask in self._orbs:
            x, y = path.at(moment)
            corner = (
                round(x * self._short) - mask.width // 2,
                round(y * self._short) - mask.height // 2,
            )
            picture.paste(path.colour, corner, mask)

    @cached_property
    def _overlay(self) -> Image.Image:
        """The words on their shade, RGBA, as wide as the canvas; it sits at the bottom."""
        return Lettering(self.width, self.height).panel(self.look.text, self.look.caption)
