"""What conf/ offers, at test size: the contract tests list its files, so a new choice is tested from its YAML on.

Sizes are distinct primes, or twice a prime where two heads must divide a width.
"""

from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from softlookup.config.build import build
from softlookup.config.catalog import CONF, groups, hosts
from softlookup.contract import Attention, Decoder, Encoder, Normalizer, Score, Widths
from softlookup.errors import UserError
from softlookup.model.seq2seq import Seq2Seq

OFFERED = groups()
SOURCES, TARGETS = 17, 19
ENCODER = {"width": 14, "embedding": 5, "feed_forward": 11, "heads": 2}
DECODER = {"width": 26, "embedding": 7, "feed_forward": 13, "heads": 2, "readout": 23}
# The width of a score's hidden layer, and the number of places that one by position knows.
SCORE = {"width": 3, "longest": 5}
# Narrow enough that sources of 5 and 7 positions have some outside.
WINDOW = {"radius": 2}


def _inside(group: str) -> list[str]:
    return [name for name, holders in hosts().items() if group in holders]


@cache
def _composed(group: str, choice: str) -> dict[str, Any]:
    # An attention refers to a normalizer and a window, a task to a segmentation; nothing else of the menu is needed.
    default = {"normalizer": "softmax", "window": "global", "segmentation": "word", "mixer": "scaled_dot"}
    inside = [name for name in default if name in hosts() and {group, *_inside(group)} & hosts()[name].keys()]
    with initialize_config_dir(str(CONF), version_base=None):
        plain = OmegaConf.to_container(
            compose(overrides=[*(f"+{name}={default[name]}" for name in inside), f"+{group}={choice}"]), resolve=True
        )
    assert isinstance(plain, dict)
    return plain[group]


def node(group: str, choice: str, **changed: Any) -> dict[str, Any]:
    """The part of the config that `group=choice` composes; keys in `changed` are set where the choice has them."""
    composed = deepcopy(_composed(group, choice))
    for part in (composed, *(value for value in composed.values() if isinstance(value, dict))):
        part.update({key: value for key, value in changed.items() if key in part})
    return composed


def attentions() -> list[tuple[str, str, int | None, str]]:
    """Every attention × every normalizer where it normalizes × one and two heads where it has any.

    No score knows of the window that it is seen through: one of them is tested through all windows.
    """
    found: list[tuple[str, str, int | None, str]] = []
    for choice in OFFERED["attention"]:
        keys = node("attention", choice)
        normalizers = OFFERED["normalizer"] if "normalizer" in keys else ["softmax"]
        heads = [None, 2] if "heads" in keys else [None]
        windows = OFFERED["window"] if choice == "general" else ["global"]
        found += list(product([choice], normalizers, heads, windows))
    return found


def attention_node(choice: str, normalizer: str, heads: int | None, window: str = "global") -> dict[str, Any]:
    seen_through = node("window", window, **WINDOW)
    parts = {"normalizer": node("normalizer", normalizer), "window": seen_through}
    return node("attention", choice, heads=heads, **parts, **SCORE)


def build_attention(
    choice: str, normalizer: str, heads: int | None, window: str, widths: Widths
) -> tuple[Attention, Widths]:
    """The attention for these widths, or where its score refuses them, for annotations as wide as the query."""
    factory = build(attention_node(choice, normalizer, heads, window))
    try:
        return factory(widths), widths
    except UserError:
        equal = replace(widths, annotation=widths.query)
        return factory(equal), equal


def by_place(module: nn.Module) -> bool:
    """Whether a score in it hears where a key stands, and nothing of what stands there."""
    return any(isinstance(part, Score) and part.reach is not None for part in module.modules())


def build_normalizer(choice: str) -> Normalizer:
    return build(node("normalizer", choice))


def variants(group: str) -> list[tuple[str, dict[str, Any]]]:
    """Every choice of a group, and each of its yes-or-no options turned round."""
    found: list[tuple[str, dict[str, Any]]] = []
    for choice in OFFERED[group]:
        options = {key: value for key, value in node(group, choice).items() if isinstance(value, bool)}
        found += [(choice, {})] + [(choice, {key: not value}) for key, value in options.items() if key[0] != "_"]
    return found


def build_encoder(choice: str, **changed: Any) -> Encoder:
    return build(node("encoder", choice, **ENCODER | changed))(SOURCES).eval()


def build_decoder(
    variant: tuple[str, dict[str, Any]],
    attention: str,
    heads: int | None,
    annotation: int,
    final: int,
    window: str = "global",
) -> Decoder | None:
    """The decoder, without dropout; None where it refuses a context of width zero or what the encoder hands on.

    A score that refuses unequal widths gets a decoder as wide as the annotations, and so does a decoder that goes on
    where a stack of that width ended.
    """
    read = build(attention_node(attention, "softmax", heads, window))

    def make(width: int) -> Decoder:
        factory = build(node("decoder", variant[0], **DECODER | variant[1] | {"width": width}))
        return factory(TARGETS, annotation, final, read).eval()

    for width in (DECODER["width"], annotation):
        with suppress(UserError):
            return make(width)
    return None


@cache
def _takes_gru(decoder: str) -> bool:
    return build_seq2seq("gru", (decoder, {}), "additive") is not None


def encoder_for(variant: tuple[str, dict[str, Any]]) -> str:
    """An encoder that this decoder takes: any, or one whose layers it goes on with."""
    return "gru" if _takes_gru(variant[0]) else "stacked"


def build_seq2seq(
    encoder: str,
    decoder: tuple[str, dict[str, Any]],
    attention: str,
    heads: int | None = None,
    window: str = "global",
) -> Seq2Seq | None:
    """The model of three choices, without dropout; None where `build_decoder` gives none."""
    read = build_encoder(encoder)
    write = build_decoder(decoder, attention, heads, read.width, read.final_width, window)
    return write and Seq2Seq(lambda _: read, lambda *_: write, SOURCES, TARGETS).eval()


def readers() -> list[tuple[str, int | None, str]]:
    """Every attention, and one of them with two heads and through every window: all that others know is its width."""
    bare = [(choice, None, "global") for choice in OFFERED["attention"]]
    return bare + [other for other in product(["general"], [None, 2], OFFERED["window"]) if other not in bare]
