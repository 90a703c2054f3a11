"""Every mixer keeps the contract, at every normalizer where it normalizes; and so does one without weights."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from choices import OFFERED, node
from torch import Tensor
from toys.running_mean import RunningMean

from softlookup.config.build import build
from softlookup.contract import SequenceMixer

B, T, D, HEADS = 3, 7, 10, 2
LENGTHS = torch.tensor([7, 5, 2])
MASK = torch.arange(T) < LENGTHS.unsqueeze(1)
MIXERS = [*product(OFFERED["mixer"], OFFERED["normalizer"]), ("running_mean", "")]
Make = Callable[[int], SequenceMixer]


@pytest.fixture(params=MIXERS, ids="-".join)
def mixer(request: pytest.FixtureRequest) -> SequenceMixer:
    name, normalizer = request.param
    if name == "running_mean":
        return RunningMean(D).double()
    make: Make = build(node("mixer", name, normalizer=node("normalizer", normalizer), heads=HEADS))
    return make(D).double()


def stream() -> Tensor:
    return torch.randn(B, T, D, dtype=torch.float64)


def test_the_stream_keeps_its_shape_and_every_parameter_has_a_gradient(mixer: SequenceMixer) -> None:
    x = stream().requires_grad_()
    for past in (None, mixer.begin(x)):
        mixed, after = mixer(x, MASK, past)
        assert mixed.shape == x.shape
        assert (after is None) == (past is None)
        mixed[MASK].square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


def test_padding_changes_nothing_on_real_positions(mixer: SequenceMixer) -> None:
    x = stream()
    poisoned = torch.where(MASK.unsqueeze(-1), x, 1e3 * torch.randn_like(x))
    for past in (None, mixer.begin(x)):
        before, after = (mixer(each, MASK, past)[0] for each in (x, poisoned))
        assert torch.allclose(before[MASK], after[MASK], rtol=0, atol=1e-10)


def test_with_a_past_no_position_reads_a_later_one(mixer: SequenceMixer) -> None:
    x = stream()
    changed = x.clone()
    changed[:, 4:] += 1.0
    before, after = (mixer(each, MASK | True, mixer.begin(x))[0] for each in (x, changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("parts", [(1,) * T, (2, 5), (4, 1, 2)])
def test_steps_one_by_one_equal_all_of_them_at_once(mixer: SequenceMixer, parts: tuple[int, ...]) -> None:
    x = stream()
    whole, last = mixer(x, MASK | True, mixer.begin(x))
    past, found = mixer.begin(x), []
    for part in x.split(parts, 1):
        mixed, past = mixer(part, MASK[:, : part.size(1)] | True, past)
        found.append(mixed)
    assert torch.allclose(torch.cat(found, 1), whole, rtol=0, atol=1e-10)
    assert all(torch.allclose(past[name], value, rtol=0, atol=1e-10) for name, value in last.items())


def test_rows_of_a_past_are_those_of_the_batch(mixer: SequenceMixer) -> None:
    """A search reorders hypotheses by indexing dimension 0 of every tensor."""
    x, index = stream(), torch.tensor([2, 0, 0, 1])
    _, past = mixer(x, MASK | True, mixer.begin(x))
    following = torch.randn(B, 1, D, dtype=torch.float64)
    expected = mixer(following, MASK[:, :1] | True, past)[0][index]
    found = mixer(following[index], MASK[index, :1] | True, {name: value[index] for name, value in past.items()})[0]
    assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_without_a_past_the_order_of_positions_does_not_matter(mixer: SequenceMixer) -> None:
    if mixer.position_dependent:
        pytest.skip("it tells positions apart")
    x, order = stream(), torch.randperm(T)
    everything = MASK | True
    assert torch.allclose(
        mixer(x[:, order], everything, None)[0], mixer(x, everything, None)[0][:, order], rtol=0, atol=1e-10
    )


def test_weights_are_what_the_stream_is_mixed_with(mixer: SequenceMixer) -> None:
    x = stream()
    for past in (None, mixer.begin(x)):
        weights = mixer.weights(x, MASK, past)
        if isinstance(mixer, RunningMean):
            assert weights is None
            continue
        assert weights is not None
        assert weights.shape == (B, HEADS, T, T)
        values = mixer.projections(x).unflatten(-1, (3, HEADS, -1))[:, :, 2].transpose(1, 2)
        mixed = mixer.merge((weights @ values).transpose(1, 2).flatten(-2))
        assert torch.allclose(mixed[MASK], mixer(x, MASK, past)[0][MASK], rtol=0, atol=1e-10)
        if past is None:
            assert not weights.masked_select(~MASK[:, None, None, :].expand_as(weights)).any()
        else:
            assert not weights.triu(1).any()
