"""What conf/ offers, at test size: the contract tests list its files, so a new choice is tested from its YAML on.

Sizes are distinct primes, or twice a prime where two heads must divide a width.
"""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from softlookup.config import CONF, build, groups
from softlookup.contract import Attention, Decoder, Encoder, Normalizer, Widths
from softlookup.errors import UserError
from softlookup.seq2seq import Seq2Seq

OFFERED = groups()
SOURCES, TARGETS = 17, 19
ENCODER = {"width": 14, "embedding": 5, "feed_forward": 11, "heads": 2}
DECODER = {"width": 26, "embedding": 7, "feed_forward": 13, "heads": 2, "readout": 23}
# The width of a score's hidden layer.
SCORE = {"width": 3}


@cache
def _composed(group: str, choice: str) -> dict[str, Any]:
    # An attention refers to a normalizer, a task to a segmentation; nothing else of the menu is needed.
    inside = {"attention": ["+normalizer=softmax"], "task": ["+segmentation=word"]}
    asked = [*inside.get(group, []), f"+{group}={choice}"]
    with initialize_config_dir(str(CONF), version_base=None):
        sizes = OmegaConf.create({"sizes": OmegaConf.load(CONF / "train.yaml").sizes})
        plain = OmegaConf.to_container(OmegaConf.merge(sizes, compose(overrides=asked)), resolve=True)
    assert isinstance(plain, dict)
    return plain[group]


def node(group: str, choice: str, **changed: Any) -> dict[str, Any]:
    """The part of the config that `group=choice` composes; keys in `changed` are set where the choice has them."""
    composed = deepcopy(_composed(group, choice))
    for part in (composed, *(value for value in composed.values() if isinstance(value, dict))):
        part.update({key: value for key, value in changed.items() if key in part})
    return composed


def attentions() -> list[tuple[str, str, int | None]]:
    """Every attention × every normalizer where it normalizes × one and two heads where it has any."""
    found: list[tuple[str, str, int | None]] = []
    for choice in OFFERED["attention"]:
        keys = node("attention", choice)
        normalizers = OFFERED["normalizer"] if "normalizer" in keys else ["softmax"]
        heads = [None, 2] if "heads" in keys else [None]
        found += [(choice, normalizer, number) for normalizer in normalizers for number in heads]
    return found


def attention_node(choice: str, normalizer: str, heads: int | None) -> dict[str, Any]:
    return node("attention", choice, normalizer=node("normalizer", normalizer), heads=heads, **SCORE)


def build_attention(choice: str, normalizer: str, heads: int | None, widths: Widths) -> tuple[Attention, Widths]:
    """The attention for these widths, or where its score refuses them, for annotations as wide as the query."""
    factory = build(attention_node(choice, normalizer, heads))
    try:
        return factory(widths), widths
    except UserError:
        equal = replace(widths, annotation=widths.query)
        return factory(equal), equal


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
    variant: tuple[str, dict[str, Any]], attention: str, heads: int | None, annotation: int, final: int
) -> Decoder | None:
    """The decoder, without dropout; None where it refuses a context of width zero.

    A score that refuses unequal widths gets a decoder as wide as the annotations.
    """
    read = build(attention_node(attention, "softmax", heads))

    def make(width: int) -> Decoder:
        factory = build(node("decoder", variant[0], **DECODER | variant[1] | {"width": width}))
        return factory(TARGETS, annotation, final, read).eval()

    try:
        return make(DECODER["width"])
    except UserError:
        if read(Widths(annotation, annotation, final)).width == 0:
            return None
        return make(annotation)


def build_seq2seq(
    encoder: str, decoder: tuple[str, dict[str, Any]], attention: str, heads: int | None = None
) -> Seq2Seq | None:
    """The model of three choices, without dropout; None where `build_decoder` gives none."""
    read = build_encoder(encoder)
    write = build_decoder(decoder, attention, heads, read.width, read.final_width)
    return write and Seq2Seq(lambda _: read, lambda *_: write, SOURCES, TARGETS).eval()


def readers() -> list[tuple[str, int | None]]:
    """Every attention, bare and with two heads."""
    return sorted({(choice, heads) for choice, _, heads in attentions()}, key=str)
