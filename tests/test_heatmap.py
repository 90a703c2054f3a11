"""The heat map has the right orientation, for any tokens."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from softlookup.heatmaps import glyphs, html
from softlookup.heatmaps.png import draw, picture

SOURCE = ["ich", "habe", "das", "Buch", "gelesen"]
TARGET = ["I", "read", "it"]


def lookup(weights, source, target, gold=None):
    gold = np.zeros(weights.shape, dtype=bool) if gold is None else gold
    return SimpleNamespace(weights=weights, source=source, target=target, gold=gold)


def example():
    weights = np.zeros((3, 5))
    weights[2, 0] = 1.0
    gold = np.zeros((3, 5), dtype=bool)
    gold[1, 4] = True
    return lookup(weights, SOURCE, TARGET, gold)


def test_a_longer_source_makes_a_picture_wider_and_a_longer_target_higher():
    sizes = {}
    for rows, columns in ((3, 5), (3, 7), (10, 5)):
        drawn, _ = picture([("", lookup(np.zeros((rows, columns)), ["word"] * columns, ["word"] * rows))])
        sizes[rows, columns] = drawn.size
    width, height = sizes[3, 5]
    cell = round(0.3 * 120)
    assert sizes[3, 7] == (width + 2 * cell, height)
    assert sizes[10, 5] == (width, height + 7 * cell)


def test_every_token_is_written_at_its_position():
    """A token in other words changes only the pixels beside its row, or above its column."""
    blank = lookup(np.zeros((3, 5)), ["word"] * 5, ["word"] * 3)
    before = np.asarray(picture([("", blank)])[0]).astype(int)
    left, top = ((before == 0).all(-1).sum(axis).argmax() for axis in (0, 1))  # the frame around the cells
    for side, place in (("target", 2), ("source", 4)):
        tokens = ["word"] * (3 if side == "target" else 5)
        tokens[place] = "work"
        changed = lookup(blank.weights, blank.source, blank.target)
        setattr(changed, side, tokens)
        rows, columns = np.nonzero((np.asarray(picture([("", changed)])[0]) != before).any(-1))
        along, across = (rows - top, columns - left) if side == "target" else (columns - left, rows - top)
        assert set(along // 36) == {place}
        assert across.max() < 0


def test_the_pixels_have_the_same_orientation():
    buffer = io.BytesIO()
    draw(example(), buffer)
    pixels = np.asarray(Image.open(buffer).convert("RGB")).astype(int)
    dark = np.argwhere((pixels[..., 2] > pixels[..., 0] + 80) & (pixels[..., 0] < 30)).mean(0)
    orange = np.argwhere(pixels[..., 0] > pixels[..., 2] + 150).mean(0)
    assert dark[0] > orange[0]  # row 2 lies below row 1
    assert dark[1] < orange[1]  # column 0 lies left of column 4
    cell = (orange[1] - dark[1]) / 4
    assert dark[0] - orange[0] == pytest.approx(cell, rel=0.1)


def test_tokens_are_not_markup(tmp_path):
    assert draw(lookup(np.full((1, 3), 1 / 3), ["$x^2$", "$", "<unk>"], ["é"]), tmp_path / "odd.png") == ""
    with Image.open(tmp_path / "odd.png") as image:
        assert image.format == "PNG"


def square_font(path, characters):
    """Write a font whose only glyphs are full squares of one em."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(character): "square" for character in characters})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Squares of a test", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1000, usWinAscent=1000, usWinDescent=0)
    builder.setupPost()
    builder.save(path)


def test_a_character_without_a_font_is_named_and_a_font_that_has_it_is_used(tmp_path, monkeypatch):
    one = lookup(np.zeros((1, 1)), ["a"], ["語"])
    black = []
    for fonts in ([], [str(tmp_path / "squares.ttf")]):
        glyphs._found.cache_clear()
        square_font(tmp_path / "squares.ttf", "語ก")
        monkeypatch.setattr(glyphs.font_manager, "findSystemFonts", lambda fonts=fonts: fonts)
        buffer = io.BytesIO()
        note = draw(one, buffer)
        wanted = "no installed font has 語 (CJK): drawn as boxes; install one, as in: apt install fonts-noto-cjk"
        assert note == ("" if fonts else wanted)
        pixels = np.asarray(Image.open(buffer).convert("L"))
        black.append(int((pixels < 60).sum()))
    # 28 · 0.3 points at 120 dots an inch are 14 pixels: a full square has 14² of them, a hollow box only its outline.
    assert black[1] - black[0] == pytest.approx(14**2, rel=0.4)
    mixed = lookup(np.zeros((1, 3)), ["ก", "☃\ufe0e", "\U0001f600"], ["अ語"])
    assert draw(mixed, io.BytesIO()) == (
        "no installed font has अ (Devanagari): drawn as boxes; install one, as in: apt install fonts-noto-core"
    )
    glyphs._found.cache_clear()


def test_installed_fonts_are_read_only_for_a_character_that_is_missing(monkeypatch):
    monkeypatch.setattr(glyphs.font_manager, "findSystemFonts", lambda: pytest.fail("read"))
    assert glyphs.fallback(["ich", "ξένος", "слово", "</s>", "\u200b\t", ""]) == ([], "")


def test_a_long_pair_gives_a_picture_of_bounded_size():
    buffer = io.BytesIO()
    draw(lookup(np.full((101, 211), 0.5), ["word"] * 211, ["word"] * 101), buffer)
    with Image.open(buffer) as image:
        assert max(image.size) < 2000


def test_tokens_must_fit_the_weights():
    with pytest.raises(ValueError, match=r"weights \(5, 3\) and gold \(5, 3\) for 3 target and 5 source"):
        picture([("", lookup(np.zeros((5, 3)), SOURCE, TARGET))])
    with pytest.raises(ValueError, match=r"weights \(5, 3\) and gold \(5, 3\) for 3 target and 5 source"):
        html.render([("", lookup(np.zeros((5, 3)), SOURCE, TARGET))])


def test_a_page_holds_weights_in_thousandths_and_no_end_of_its_data():
    weights = np.array([[0.1234, 1.0, np.nan], [1.7, -0.2, 0.0005001]])
    one = lookup(weights, ["</script>", "b", "c"], ["x", "y"], np.array([[0, 0, 1], [0, 0, 0]], dtype=bool))
    assert html.payload(one)["weights"] == [[123, 1000, None], [1000, 0, 1]]
    assert html.payload(one)["gold"] == [[0, 0, 1], [0, 0, 0]]
    assert html.payload(lookup(weights, ["a", "b", "c"], ["x", "y"]))["gold"] is None
    assert html.render([("", one)]).count("</script>") == 2  # those of the page
