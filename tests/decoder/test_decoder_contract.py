"""Contract tests of every decoder in conf/decoder/, with every attention in conf/attention/."""

from contextlib import suppress
from dataclasses import dataclass

import pytest
import torch
from choices import DECODER, OFFERED, TARGETS, build_decoder, by_place, node, readers, variants
from torch import Tensor

from softlookup.config.build import build
from softlookup.contract import (
    Annotations,
    Attention,
    Decoder,
    DecoderState,
    History,
    Memory,
    Reading,
    Widths,
)  # fmt: skip
from softlookup.errors import UserError

B, S, T, ANNOTATION, FINAL = 3, 5, 7, 22, 17
LENGTHS = torch.tensor([5, 3, 1])

COMBINATIONS = [(variant, *reader) for variant in variants("decoder") for reader in readers()]
EVERY = pytest.mark.parametrize("choice", COMBINATIONS, ids=lambda choice: "-".join(map(str, choice)))


@dataclass
class Case:
    decoder: Decoder
    source: Annotations
    inputs: Tensor


def make(choice: tuple) -> Case:
    variant, attention, heads, window = choice
    # A decoder that starts from the encoder's layers requires a matching final width.
    for final in (FINAL, 2 * DECODER["width"], 2 * ANNOTATION):
        decoder = build_decoder(variant, attention, heads, ANNOTATION, final, window)
        if decoder is not None:
            break
    else:
        assert attention == "fixed_initial"
        pytest.skip("rejected by design: without an initial state and a context the decoder has no source")
    mask = torch.arange(S) < LENGTHS.unsqueeze(1)
    source = Annotations(torch.randn(B, S, ANNOTATION), mask, torch.randn(B, final))
    return Case(decoder, source, torch.randint(4, TARGETS, (B, T)))


def tensors(state: DecoderState) -> dict[str, Tensor]:
    return {f"{part}: {name}": value for part, by_name in vars(state).items() for name, value in by_name.items()}


@EVERY
def test_shapes_follow_the_contract(choice: tuple) -> None:
    case = make(choice)
    memory, state = case.decoder.prepare(case.source)
    decoded = case.decoder(case.inputs, memory, state)
    assert decoded.readout.shape == (B, T, case.decoder.width)
    if decoded.weights is not None:
        assert decoded.weights.shape == (B, T, S)
        assert not decoded.weights.masked_select(~case.source.mask.unsqueeze(1)).any()
        sums = decoded.weights.sum(-1)
        # A window may lower the sum; a window past the end of the source has sum 0.
        assert (sums <= 1 + 1e-5).all()
        assert torch.allclose(sums, torch.ones(B, T), atol=1e-5) or choice[3] != "global"
    for name, tensor in {**tensors(state), **tensors(decoded.state)}.items():
        assert len(tensor) == B, name
    # The attention's history starts with the first step; its keys do not change afterwards.
    assert tensors(state).keys() <= tensors(decoded.state).keys()
    following = case.decoder(case.inputs, memory, decoded.state).state
    assert tensors(decoded.state).keys() == tensors(following).keys()


@EVERY
def test_single_steps_decode_the_same_as_all_steps_at_once(choice: tuple) -> None:
    case = make(choice)
    memory, state = case.decoder.prepare(case.source)
    at_once = case.decoder(case.inputs, memory, state)
    steps = []
    for t in range(T):
        steps.append(case.decoder(case.inputs[:, t : t + 1], memory, state))
        state = steps[-1].state
    assert torch.allclose(torch.cat([step.readout for step in steps], 1), at_once.readout, rtol=0, atol=1e-5)
    if at_once.weights is not None:
        assert torch.allclose(torch.cat([step.weights for step in steps], 1), at_once.weights, rtol=0, atol=1e-5)
    for name, tensor in tensors(at_once.state).items():
        assert torch.allclose(tensors(state)[name], tensor, rtol=0, atol=1e-5), name


@EVERY
def test_no_readout_depends_on_a_later_input(choice: tuple) -> None:
    case = make(choice)
    other = case.inputs.clone()
    other[:, 3:] = 4 + (other[:, 3:] - 3) % (TARGETS - 4)
    before, after = (case.decoder(inputs, *case.decoder.prepare(case.source)) for inputs in (case.inputs, other))
    assert torch.allclose(before.readout[:, :3], after.readout[:, :3], rtol=0, atol=1e-5)
    assert (before.readout[:, 3:] != after.readout[:, 3:]).any(-1).all()


@EVERY
def test_reordered_rows_of_state_and_memory_give_reordered_readouts(choice: tuple) -> None:
    case = make(choice)
    order = torch.tensor([2, 0, 0])
    memory, state = case.decoder.prepare(case.source)
    state = case.decoder(case.inputs[:, :3], memory, state).state
    expected = case.decoder(case.inputs[:, 3:4], memory, state).readout[order]
    found = case.decoder(case.inputs[order, 3:4], memory.rows(order), state.rows(order))
    assert torch.allclose(found.readout, expected, rtol=0, atol=1e-5)


@EVERY
def test_gradients_are_finite_and_reach_every_parameter(choice: tuple) -> None:
    case = make(choice)
    decoded = case.decoder(case.inputs, *case.decoder.prepare(case.source))
    decoded.readout.square().sum().backward()
    for name, parameter in case.decoder.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
        else:
            # A fixed context ignores the query and its parameters; a score by position ignores the keys.
            assert decoded.weights is None or (by_place(case.decoder) and "attention.keys" in name), name


class Counting(Attention):
    """A toy attention whose history uses names that decoders give their own state; its context is the step number."""

    kind = "weightless"
    NAMES = ("state", "hidden", "cell", "fed", "past")

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.annotation
        self.read: list[float] = []

    def prepare(self, annotations: Annotations) -> Memory:  # noqa: ARG002
        return Memory()

    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:  # noqa: ARG002
        first = {name: query.new_zeros(len(query), 1) for name in self.NAMES}
        following = {name: value + query.size(1) for name, value in (history or first).items()}
        assert following.keys() == set(self.NAMES)
        steps = torch.arange(query.size(1)) + 1 + (history or first)["state"]
        self.read += steps[0].tolist()
        return Reading(steps.unsqueeze(-1).expand(-1, -1, self.width), None, following)


@pytest.mark.parametrize("name", OFFERED["decoder"])
def test_history_names_may_collide_with_names_of_the_decoder_state(name: str) -> None:
    factory = build(node("decoder", name, **DECODER))
    for final in (FINAL, 2 * DECODER["width"]):
        with suppress(UserError):
            decoder: Decoder = factory(TARGETS, ANNOTATION, final, Counting)
            break
    source = Annotations(torch.randn(B, S, ANNOTATION), torch.ones(B, S, dtype=torch.bool), torch.randn(B, final))
    memory, state = decoder.prepare(source)
    for t in range(T):
        state = decoder(torch.full((B, 1), 4 + t), memory, state).state
    toys = [module for module in decoder.modules() if isinstance(module, Counting)]
    assert [toy.read for toy in toys] == [list(range(1, T + 1))] * len(toys)
    assert toys
