"""Build what is priced: every attention, normalizer, window, mixer, encoder and decoder that conf/ offers, and one pass
of each at a length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from softlookup.config.build import build
from softlookup.config.catalog import groups
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.contract import Annotations, Attention, Decoder, Memory, SequenceMixer, Widths
from softlookup.errors import UserError

VOCABULARY = 16  # small: an embedding costs the same at every length
TOKEN = 5  # any but padding
_WITHOUT_LOOKUP = ("attention=fixed_mean",)  # so that the cost is not that of an attention


@dataclass(frozen=True)
class Part(ABC):
    """Describe one choice of a group: its config, and how a pass over S = T = n positions of one sentence goes."""

    choice: str
    config: RunConfig
    group: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()  # other choices of the config

    @abstractmethod
    def build(self) -> nn.Module:
        """Return its module. Raises UserError for parts that do not fit."""

    @abstractmethod
    def inputs(self, module: Any, length: int) -> Any:
        """Return the tensors that a pass of `length` positions starts from."""

    @abstractmethod
    def forward(self, module: Any, inputs: Any) -> tuple[list[Tensor], Memory | None]:
        """Return what the pass computes, and the memory that a decoding step reads."""

    def take(self, module: nn.Module, inputs: Any) -> Memory | None:
        """Take one pass, forward and backward with gradients of ones, and return the memory."""
        results, memory = self.forward(module, inputs)
        results = [result for result in results if result.requires_grad and result.numel()]
        if results:
            torch.autograd.backward(results, [torch.ones_like(result) for result in results])
        return memory


def _source(length: int) -> tuple[Tensor, Tensor]:
    return torch.full((1, length), TOKEN), torch.ones(1, length, dtype=torch.bool)


def _annotations(length: int, width: int, final: int) -> Annotations:
    states = torch.zeros(1, length, width).requires_grad_()
    return Annotations(states, torch.ones(1, length, dtype=torch.bool), torch.zeros(1, final).requires_grad_())


def _decoder(config: RunConfig, seen: list[Widths]) -> Decoder:
    """Return the decoder of a config with its attention, and append the widths that the attention is built for."""
    encoder = build(config.parts["encoder"])(VOCABULARY)
    make = build(config.parts["attention"])

    def attention(widths: Widths) -> Attention:
        seen.append(widths)
        read: Attention = make(widths)
        return read

    made: Decoder = build(config.parts["decoder"])(VOCABULARY, encoder.width, encoder.final_width, attention)
    return made


class AttentionPart(Part):
    """An attention with the widths that it has in the model: n queries, all at once, over n annotations, without its
    weights, as in training."""

    group = "attention"

    def build(self) -> nn.Module:
        seen: list[Widths] = []
        decoder = _decoder(self.config, seen)
        read = next(module for module in decoder.modules() if isinstance(module, Attention))
        return nn.ModuleDict({"read": read, "widths": _Widths(seen[0])})

    def inputs(self, module: Any, length: int) -> tuple[Tensor, Annotations]:
        widths = module["widths"].widths
        query = torch.zeros(1, length, widths.query).requires_grad_()
        return query, _annotations(length, widths.annotation, widths.final)

    def forward(self, module: Any, inputs: Any) -> tuple[list[Tensor], Memory | None]:
        query, annotations = inputs
        memory = module["read"].prepare(annotations)
        return [module["read"](query, memory, {}, weights=False).context], memory


class NormalizerPart(AttentionPart):
    """A normalizer, in the attention of the model."""

    group = "normalizer"


class WindowPart(AttentionPart):
    """A window, in the attention of the model."""

    group = "window"


class _Widths(nn.Module):
    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.widths = widths


class EncoderPart(Part):
    """An encoder over a source of n tokens."""

    group = "encoder"

    def build(self) -> nn.Module:
        made: nn.Module = build(self.config.parts["encoder"])(VOCABULARY)
        return made.train()

    def inputs(self, module: Any, length: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return _source(length)

    def forward(self, module: Any, inputs: Any) -> tuple[list[Tensor], Memory | None]:
        annotations = module(*inputs)
        return [annotations.states, annotations.final], None


class DecoderPart(Part):
    """A decoder of n target tokens over n annotations, with the mean of the annotations as its context."""

    group = "decoder"
    needs = _WITHOUT_LOOKUP

    def build(self) -> nn.Module:
        seen: list[Widths] = []
        decoder = _decoder(self.config, seen)
        return nn.ModuleDict({"write": decoder, "widths": _Widths(seen[0])}).train()

    def inputs(self, module: Any, length: int) -> tuple[Tensor, Annotations]:
        widths = module["widths"].widths
        return _source(length)[0], _annotations(length, widths.annotation, widths.final)

    def forward(self, module: Any, inputs: Any) -> tuple[list[Tensor], Memory | None]:
        tokens, annotations = inputs
        memory, state = module["write"].prepare(annotations)
        return [module["write"](tokens, memory, state, weights=False).readout], memory


class MixerPart(Part):
    """A mixer of a stream of n positions, each of which reads itself and those before it, as in a decoder."""

    group = "mixer"
    needs = ("decoder=transformer", *_WITHOUT_LOOKUP)

    def build(self) -> nn.Module:
        decoder = _decoder(self.config, [])
        return next(module for module in decoder.modules() if isinstance(module, SequenceMixer)).train()

    def inputs(self, module: Any, length: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        stream = torch.zeros(1, length, self.config.parts["decoder"]["width"]).requires_grad_()
        return stream, _source(length)[1]

    def forward(self, module: Any, inputs: Any) -> tuple[list[Tensor], Memory | None]:
        stream, mask = inputs
        return [module(stream, mask, module.begin(stream))[0]], None


KINDS: tuple[type[Part], ...] = (AttentionPart, NormalizerPart, WindowPart, MixerPart, EncoderPart, DecoderPart)


def parts(
    chosen: Mapping[str, Sequence[str]], overrides: Sequence[str]
) -> Iterator[tuple[str, str, Callable[[], Part]]]:
    """Yield group and name of each chosen part, and a function that returns the part, or raises UserError."""
    for kind in KINDS:
        for name in chosen.get(kind.group, ()):
            yield kind.group, name, partial(_part, kind, name, overrides)


def _part(kind: type[Part], name: str, overrides: Sequence[str]) -> Part:
    words = [*overrides, f"{kind.group}={name}", *kind.needs]
    part = kind(name, composed(words))
    try:
        part.build()
    except UserError:
        if kind is not DecoderPart:
            raise
        # A decoder that goes on where the encoder's layers ended: an encoder as wide, whose final state it takes.
        for encoder in groups()["encoder"]:
            with suppress(UserError):
                width = part.config.parts["decoder"]["width"]
                other = kind(name, composed([*words, f"encoder={encoder}", f"encoder.width={width}"]))
                other.build()
                return other
        raise
    return part
