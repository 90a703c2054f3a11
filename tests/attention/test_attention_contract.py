"""Contract tests of every attention in conf/attention/, with every normalizer, with and without heads."""

from dataclasses import dataclass, replace

import pytest
import torch
from choices import attentions, build_attention, build_normalizer, by_place
from torch import Tensor, nn
from torch.func import functional_call
from toys.coverage import Coverage
from toys.linear_read import LinearRead
from toys.slots import SlotRead

from softlookup.attention.multi_head import attention as of_score
from softlookup.contract import Annotations, Attention, Reading, Widths
from softlookup.window.unrestricted import Global

T, S = 5, 7
LENGTHS = (7, 4, 1)
WIDTHS = Widths(query=22, annotation=13, final=17)
SMALL = Widths(query=4, annotation=3, final=2)

# A score that uses the weights of earlier steps, an attention without weights, and one whose weights are over slots.
TOYS = [("coverage", name, heads, "global") for name in ("softmax", "sparsemax") for heads in (None, 2)]
TOYS += [("linear_read", "softmax", None, "global"), ("slots", "softmax", None, "global")]
EVERY = pytest.mark.parametrize("choice", [*attentions(), *TOYS], ids=lambda choice: "-".join(map(str, choice)))


@dataclass
class Case:
    """Hold an attention in float64, queries, and a source with `lengths` real positions per row."""

    attention: Attention
    query: Tensor
    source: Annotations

    def read(self, source: Annotations | None = None) -> Reading:
        return drop_other_weights(
            self.attention, self.attention(self.query, self.attention.prepare(source or self.source), {})
        )


def drop_other_weights(attention: Attention, reading: Reading) -> Reading:
    """Drop the weights of a reading unless the attention is of kind "lookup", as `Seq2Seq` does."""
    return reading if attention.kind == "lookup" else replace(reading, weights=None)


def build_toy(name: str, normalizer: str, heads: int | None, widths: Widths) -> tuple[Attention, Widths]:
    if name != "coverage":
        return {"linear_read": LinearRead, "slots": SlotRead}[name](widths), widths
    equal = replace(widths, annotation=widths.query)
    return of_score(equal, Coverage, build_normalizer(normalizer), Global, heads), equal


def make(choice: tuple, widths: Widths = WIDTHS, lengths: tuple[int, ...] = LENGTHS, steps: int = T) -> Case:
    name, normalizer, heads, _ = choice
    built = build_toy(name, normalizer, heads, widths) if choice in TOYS else build_attention(*choice, widths)
    attention, widths = built
    batch, longest = len(lengths), max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    states = torch.randn(batch, longest, widths.annotation, dtype=torch.float64)
    # The final state of an empty source is zero.
    final = torch.randn(batch, widths.final, dtype=torch.float64) * mask.any(1, keepdim=True)
    query = torch.randn(batch, steps, widths.query, dtype=torch.float64)
    return Case(attention.double(), query, Annotations(states, mask, final))


@EVERY
def test_shapes_follow_the_contract(choice: tuple) -> None:
    case = make(choice)
    reading = case.read()
    assert reading.context.shape == (len(LENGTHS), T, case.attention.width)
    kind = case.attention.kind
    assert kind != "lookup" or reading.weights.shape == (len(LENGTHS), T, S)
    same = torch.equal(reading.context, reading.context[:, :1].expand_as(reading.context))
    assert same == (kind == "fixed")
    memory = case.attention.prepare(case.source)
    tensors = [value for value in vars(memory).values() if value is not None]
    held = {id(value): value for value in tensors}.values()  # a dot product's keys are its values
    assert memory.bytes == sum(value.numel() * value.element_size() for value in held)
    assert all(len(tensor) == len(LENGTHS) for tensor in tensors)


@EVERY
def test_rows_of_a_memory_are_read_as_rows_of_the_source(choice: tuple) -> None:
    """A search selects rows, and rows of those; it reads one step at a time, without gradients."""
    case, first, then = make(choice), torch.tensor([2, 0, 0, 1]), torch.tensor([3, 1, 1, 0, 2])
    index = first[then]
    query, source = case.query[index][:, :1], case.source
    chosen = Annotations(source.states[index], source.mask[index], source.final[index])
    with torch.no_grad():
        memory = case.attention.prepare(source).rows(first).rows(then)
        for weights in (True, False):
            found = case.attention(query, memory, {}, weights)
            expected = case.attention(query, case.attention.prepare(chosen), {}, weights)
            assert torch.allclose(found.context, expected.context, rtol=0, atol=1e-12)


@EVERY
def test_padding_never_leaks(choice: tuple) -> None:
    case = make(choice)
    hidden = ~case.source.mask.unsqueeze(-1)
    noise = torch.where(hidden, 1e3 * torch.randn_like(case.source.states), case.source.states)
    more = torch.cat([noise, torch.randn_like(noise[:, :2])], 1)
    mask = torch.cat([case.source.mask, torch.zeros(len(LENGTHS), 2, dtype=torch.bool)], 1)
    before, after = case.read(), case.read(Annotations(more, mask, case.source.final))
    assert torch.allclose(before.context, after.context, rtol=0, atol=1e-12)
    if before.weights is not None:
        assert torch.allclose(before.weights, after.weights[..., :S], rtol=0, atol=1e-12)
        assert not after.weights[..., S:].any()


@EVERY
def test_weights_are_zero_on_padding_and_sum_to_the_row_sum_of_the_normalizer(choice: tuple) -> None:
    case = make(choice)
    reading = case.read()
    if reading.weights is None:
        return
    assert (reading.weights >= 0).all()
    assert not reading.weights.masked_select(~case.source.mask.unsqueeze(1)).any()
    total = build_normalizer(choice[1]).row_sum
    sums = reading.weights.sum(-1)
    if choice[3] != "global":
        # A window may lower the sum; a window past the end of the source has sum 0.
        assert total is None or (sums <= total + 1e-12).all()
    elif total is not None:
        assert torch.allclose(sums, torch.full_like(sums, total), rtol=0, atol=1e-12)


@EVERY
def test_permuting_the_source_permutes_the_weights_and_keeps_the_context(choice: tuple) -> None:
    case = make(choice)
    if choice[3] != "global" or by_place(case.attention):
        pytest.skip("its scores depend on positions")
    order = torch.randperm(S)
    source = Annotations(case.source.states[:, order], case.source.mask[:, order], case.source.final)
    before, after = case.read(), case.read(source)
    assert torch.allclose(before.context, after.context, rtol=0, atol=1e-12)
    if before.weights is not None:
        assert torch.allclose(before.weights[..., order], after.weights, rtol=0, atol=1e-12)


@EVERY
def test_single_steps_read_the_same_as_all_steps_at_once(choice: tuple) -> None:
    case = make(choice)
    memory = case.attention.prepare(case.source)
    at_once, steps, history = case.read(), [], {}
    for t in range(T):
        steps.append(drop_other_weights(case.attention, case.attention(case.query[:, t : t + 1], memory, history)))
        history = steps[-1].history
    assert torch.allclose(torch.cat([step.context for step in steps], 1), at_once.context, rtol=0, atol=1e-12)
    if at_once.weights is None:
        assert all(step.weights is None for step in steps)
    else:
        assert torch.allclose(torch.cat([step.weights for step in steps], 1), at_once.weights, rtol=0, atol=1e-12)


@EVERY
def test_context_and_gradients_are_the_same_without_weights(choice: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softlookup.fused.context._KEYS", 0)  # so that as few positions as here are worth it
    case = make(choice, lengths=(7, 0, 4))
    found = []
    for weights in (True, False):
        query, states = (each.clone().requires_grad_() for each in (case.query, case.source.states))
        case.attention.zero_grad()
        memory = case.attention.prepare(replace(case.source, states=states))
        reading = case.attention(query, memory, {}, weights)
        (reading.context.square().sum() + query.sum() + states.sum()).backward()
        found.append([reading.context, query.grad, states.grad, *(p.grad for p in case.attention.parameters())])
    for with_weights, without in zip(*found, strict=True):
        assert without is with_weights is None or torch.allclose(with_weights, without, rtol=0, atol=1e-12)
    assert case.attention.kind == "lookup" or reading.weights is None or choice in TOYS


class Lookup(nn.Module):
    """Compute prepare and forward as one function of tensors; returns a scalar that depends on every output."""

    def __init__(self, attention: Attention, mask: Tensor) -> None:
        super().__init__()
        self.attention = attention
        self.mask = mask

    def forward(self, query: Tensor, states: Tensor, final: Tensor) -> Tensor:
        prepared = self.attention.prepare(Annotations(states, self.mask, final))
        reading = drop_other_weights(self.attention, self.attention(query, prepared, {}))
        outputs = [reading.context.flatten()]
        if reading.weights is not None:
            outputs.append(reading.weights.flatten())
        joined = torch.cat(outputs)
        return joined @ torch.linspace(-1, 1, len(joined), dtype=joined.dtype)


@EVERY
def test_gradients_match_finite_differences(choice: tuple) -> None:
    case = make(choice, SMALL, lengths=(5, 3), steps=2)
    lookup = Lookup(case.attention, case.source.mask)
    names, values = zip(*lookup.named_parameters(), strict=True) if list(lookup.parameters()) else ((), ())

    def run(query: Tensor, states: Tensor, final: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(lookup, dict(zip(names, parameters, strict=True)), (query, states, final))

    inputs = [case.query, case.source.states, case.source.final, *values]
    assert torch.autograd.gradcheck(run, [value.detach().requires_grad_() for value in inputs], fast_mode=True)


@EVERY
def test_a_fully_masked_row_reads_zero_and_leaves_other_gradients_unchanged(choice: tuple) -> None:
    case = make(choice, lengths=(7, 0, 4))

    def gradients(rows: list[int]) -> tuple[Reading, dict[str, Tensor]]:
        leaves = [case.query[rows], case.source.states[rows], case.source.final[rows]]
        query, states, final = (leaf.clone().requires_grad_() for leaf in leaves)
        case.attention.zero_grad()
        source = Annotations(states, case.source.mask[rows], final)
        reading = drop_other_weights(case.attention, case.attention(query, case.attention.prepare(source), {}))
        (reading.context.square().sum() + query.sum() + states.sum() + final.sum()).backward()
        gradient_of = {name: value.grad for name, value in case.attention.named_parameters() if value.grad is not None}
        # A score by position ignores the keys, so their projection has no gradient.
        assert by_place(case.attention) or len(gradient_of) == len(list(case.attention.parameters()))
        return reading, gradient_of | {"query": query.grad, "states": states.grad, "final": final.grad}

    reading, with_row = gradients([0, 1, 2])
    assert not reading.context[1].any()
    assert reading.weights is None or not reading.weights[1].any()
    _, without = gradients([0, 2])
    for name, gradient in with_row.items():
        assert gradient.isfinite().all()
        other_rows = gradient[[0, 2]] if name in ("query", "states", "final") else gradient
        assert torch.allclose(other_rows, without[name], rtol=0, atol=1e-12)


@EVERY
def test_no_state_is_kept_between_two_sources(choice: tuple) -> None:
    case = make(choice)
    before = case.read()
    case.read(replace(case.source, states=torch.randn_like(case.source.states), final=case.source.final + 1))
    assert torch.equal(case.read().context, before.context)


@pytest.mark.parametrize("heads", [None, 2])
def test_a_score_receives_the_final_weights_of_earlier_steps_per_head(heads: int | None) -> None:
    """Coverage with equal queries: the second step gives less weight to the positions that the first step preferred."""
    case = make(("coverage", "softmax", heads, "global"), lengths=(7, 7))
    query = case.query[:, :1].expand(-1, 2, -1)
    reading = case.attention(query, case.attention.prepare(case.source), {})
    weights = reading.weights.unsqueeze(1) if heads is None else reading.heads
    assert weights.shape == (2, heads or 1, 2, S)
    first, second = weights.unbind(2)
    ratio = second / first
    assert torch.equal(first.argmax(-1), ratio.argmin(-1))
    assert set(reading.history) == {"score/covered"}
    assert torch.allclose(reading.history["score/covered"].reshape(first.shape), first + second)
