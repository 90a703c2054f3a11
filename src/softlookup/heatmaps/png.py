"""Draw heat maps of attention weights as PNG: target rows, source columns, gold positions outlined.

They are drawn with Pillow: a run draws several, and a figure of matplotlib takes 0.1 to 0.3 seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from softlookup.heatmaps import glyphs
from softlookup.heatmaps.heat_map import HeatMap, shape_of

DOTS = 120  # per inch
CELL = 0.3  # inches; smaller where a side would exceed LONGEST
LONGEST = 12.0
WIDEST, HIGHEST = 20.0, 40.0  # inches of all cells of a picture with several heat maps
GAP = 6  # pixels between parts
GOLD = "#D55E00"


def picture(heat_maps: Sequence[tuple[str, HeatMap]]) -> tuple[Image.Image, str]:
    """Draw titled heat maps in one picture, row by row: weights from 0 (white) to 1 (dark).

    Returns the picture and one line about characters that no installed font has, which are drawn as boxes; "" if there
    are none. Raises ValueError when shapes and tokens disagree.
    """
    shapes = [_shape(heat_map) for _, heat_map in heat_maps]
    longest = max(max(shape) for shape in shapes)
    across = min(len(heat_maps), next((n for n, most in ((3, 25), (2, 45)) if longest <= most), 1))
    rows = [range(first, min(first + across, len(shapes))) for first in range(0, len(shapes), across)]
    columns = [range(first, len(shapes), across) for first in range(across)]
    height, width = (
        sum(max(shapes[i][side] for i in line) for line in lines) for side, lines in enumerate((rows, columns))
    )
    cell = min(CELL, LONGEST / longest, WIDEST / width, HIGHEST / height)
    paths, note = glyphs.fallback(text for title, one in heat_maps for text in (title, *one.source, *one.target))
    panels = [_panel(title, one, cell, tuple(paths)) for title, one in heat_maps]
    heights = [max(panels[i].height for i in row) for row in rows]
    widths = [max(panels[i].width for i in column) for column in columns]
    whole = Image.new("RGB", (sum(widths), sum(heights)), "white")
    for i, panel in enumerate(panels):
        whole.paste(panel, (sum(widths[: i % across]), sum(heights[: i // across])))
    return whole, note


def _shape(heat_map: HeatMap) -> tuple[int, int]:
    rows, columns = shape_of(heat_map)
    return max(rows, 1), max(columns, 1)


def _panel(title: str, heat_map: HeatMap, cell: float, paths: tuple[str, ...]) -> Image.Image:
    """Draw one heat map with its title, its tokens and the names of its axes; cells are `cell` inches wide."""
    size = max(1, round(DOTS * cell))
    fonts = _fonts(max(5, round(28 / 72 * DOTS * cell)), paths)
    (rows, columns), line = _shape(heat_map), fonts.height
    above = [fonts.text(token).transpose(Image.Transpose.ROTATE_90) for token in heat_map.source]
    before = [fonts.text(token) for token in heat_map.target]
    heading = fonts.bold.text(title)
    left = GAP + line + GAP + max((label.width for label in before), default=0) + GAP
    top = GAP + (line + GAP if title else 0) + line + GAP + max((label.height for label in above), default=0) + GAP
    right, bottom = left + columns * size, top + rows * size
    panel = Image.new("RGB", (max(right, left + heading.width) + 2 * GAP, bottom + 2 * GAP), "white")

    def write(label: Image.Image, x: float, y: float) -> None:
        panel.paste("black", (round(x), round(y)), label)

    panel.paste(_cells(heat_map.weights, size), (left, top))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((left - 1, top - 1, right, bottom), outline="black")
    for t, s in np.argwhere(heat_map.gold).tolist():
        x, y, inset = left + s * size, top + t * size, size // 20
        draw.rectangle(
            (x + inset, y + inset, x + size - 1 - inset, y + size - 1 - inset), None, GOLD, max(1, size // 15)
        )
    for s, label in enumerate(above):
        write(label, left + (s + 0.5) * size - label.width / 2, top - GAP - label.height)
    for t, label in enumerate(before):
        write(label, left - GAP - label.width, top + (t + 0.5) * size - label.height / 2)
    source, target = fonts.text("source"), fonts.text("target").transpose(Image.Transpose.ROTATE_90)
    write(source, (left + right - source.width) / 2, GAP + (line + GAP if title else 0))
    write(target, GAP, max(0.0, (top + bottom - target.height) / 2))
    write(heading, left, GAP)
    return panel


def _cells(weights: np.ndarray, size: int) -> Image.Image:
    """Return a picture of weights with cells of `size` pixels; what is no number is white."""
    known = np.nan_to_num(np.asarray(weights, np.float64), nan=0.0).clip(0, 1)
    colors = _palette()[np.minimum(known * 256, 255).astype(int)]
    colors[np.isnan(weights)] = 255
    return Image.fromarray(colors.repeat(size, 0).repeat(size, 1))


@cache
def _palette() -> np.ndarray:
    """Return 256 colours from white to dark blue, as in matplotlib's Blues."""
    return np.asarray(mpl.colormaps["Blues"](np.arange(256), bytes=True))[:, :3].copy()


class _Fonts:
    """Write lines of text: each character in the first of these fonts that has it, or else as a box."""

    def __init__(self, size: int, paths: Sequence[str]) -> None:
        basic = ImageFont.Layout.BASIC
        self._fonts = [(ImageFont.truetype(path, size, layout_engine=basic), glyphs.characters(path)) for path in paths]
        measures = [font.getmetrics() for font, _ in self._fonts]
        self._ascent = max(ascent for ascent, _ in measures)
        self.height = self._ascent + max(descent for _, descent in measures)

    def text(self, line: str) -> Image.Image:
        """Return a mask of a line of text; characters that cannot be printed are left out."""
        first = self._fonts[0][0]
        printable = [character for character in line if character.isprintable()]
        fonts = [next((font for font, has in self._fonts if ord(one) in has), first) for one in printable]
        pieces: list[tuple[ImageFont.FreeTypeFont, str]] = []
        for font, character in zip(fonts, printable, strict=True):
            if pieces and pieces[-1][0] is font:
                pieces[-1] = font, pieces[-1][1] + character
            else:
                pieces.append((font, character))
        widths = [font.getlength(piece) for font, piece in pieces]
        mask = Image.new("L", (max(1, math.ceil(sum(widths)) + 1), self.height))
        draw = ImageDraw.Draw(mask)
        for i, (font, piece) in enumerate(pieces):
            draw.text((sum(widths[:i]), self._ascent), piece, fill=255, font=font, anchor="ls")
        return mask


class _Faces(_Fonts):
    """The fonts of tokens, and the `bold` ones of titles."""

    def __init__(self, size: int, paths: Sequence[str]) -> None:
        super().__init__(size, [glyphs.default(), *paths])
        self.bold = _Fonts(size, [glyphs.default("bold"), *paths])


@cache
def _fonts(size: int, paths: tuple[str, ...]) -> _Faces:
    return _Faces(size, paths)


def draw(heat_map: HeatMap, out: Path | BinaryIO) -> str:
    """Write a heat map to a file or a buffer as PNG; return as `draw_several` does."""
    return draw_several([("", heat_map)], out)


def draw_several(heat_maps: Sequence[tuple[str, HeatMap]], out: Path | BinaryIO) -> str:
    """Write several titled heat maps to a file or a buffer as one PNG; return the note of `picture`."""
    drawn, note = picture(heat_maps)
    drawn.save(out, format="png")
    return note
