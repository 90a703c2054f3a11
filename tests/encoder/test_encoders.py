"""Each encoder against its definition."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from toys.running_mean import RunningMean

from softlookup.attention.scaled_dot import ScaledDot
from softlookup.contract import Packing, SequenceMixer
from softlookup.encoder.bag import Bag
from softlookup.encoder.gru import Gru
from softlookup.encoder.lstm import Lstm
from softlookup.encoder.recurrent import RecurrentEncoder
from softlookup.encoder.recurrent_loop import run
from softlookup.encoder.transformer import Transformer
from softlookup.layers.positional_encoding import sinusoids
from softlookup.mixer.self_attention import SelfAttention
from softlookup.normalizer.softmax import Softmax

B, S, V, E, D = 2, 5, 17, 3, 7
MIXER = partial(SelfAttention, score=ScaledDot, normalizer=Softmax(), heads=2)
MASK = torch.arange(S) < torch.tensor([[5], [3]])


def ids() -> Tensor:
    return torch.randint(4, V, (B, S))


@pytest.mark.parametrize("kind", [Gru, Lstm])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_final_state_is_the_last_state_of_each_direction(kind: type[RecurrentEncoder], layers: int) -> None:
    both = kind(V, E, D, layers, bidirectional=True, dropout=0.0)(ids(), MASK)
    for b, length in enumerate((5, 3)):
        assert torch.equal(both.final[b, :D], both.states[b, length - 1, :D])
        assert torch.equal(both.final[b, D:], both.states[b, 0, D:])
    one = kind(V, E, D, layers, bidirectional=False, dropout=0.0)(ids(), MASK)
    assert torch.equal(one.final, one.states[torch.arange(B), torch.tensor([4, 2])])


@pytest.mark.parametrize(
    ("kind", "bidirectional", "changed"),
    [(Gru, False, [2, 3, 4]), (Gru, True, [0, 1, 2, 3, 4]), (Lstm, False, [2, 3, 4])],
)
def test_a_token_affects_the_annotations_that_its_directions_reach(
    kind: type[RecurrentEncoder], bidirectional: bool, changed: list[int]
) -> None:
    encoder = kind(V, E, D, 1, bidirectional, 0.0)
    assert changed_positions(encoder) == changed


def changed_positions(encoder: torch.nn.Module) -> list[int]:
    """Return the positions of the first row whose annotation changes when token 2 is replaced."""
    source = ids()
    other = source.clone()
    other[0, 2] = 4 + (source[0, 2] - 3) % (V - 4)
    before, after = encoder.eval()(source, MASK).states, encoder(other, MASK).states
    assert torch.equal(before[1], after[1])
    return (before[0] != after[0]).any(-1).nonzero().flatten().tolist()


def test_a_bag_mixes_no_positions_and_a_transformer_all_of_them() -> None:
    assert changed_positions(Bag(V, D, 0.0)) == [2]
    assert changed_positions(Transformer(V, MIXER, 14, 11, layers=1, norm="after", dropout=0.0)) == [0, 1, 2, 3, 4]


def test_a_bag_is_embedding_plus_position_with_the_mean_as_final_state() -> None:
    encoder, source = Bag(V, D, 0.0), ids()
    annotations = encoder(source, MASK)
    for b, length in enumerate((5, 3)):
        expected = torch.stack(
            [
                encoder.embedding.weight[source[b, s]] + sinusoids(s, 1, D, encoder.embedding.weight)[0]
                for s in range(length)
            ]
        )
        assert torch.allclose(annotations.states[b, :length], expected, atol=1e-6)
        assert torch.allclose(annotations.final[b], expected.mean(0), atol=1e-6)


def test_layers_of_a_transformer_start_with_different_weights() -> None:
    first, second = Transformer(V, MIXER, 14, 11, layers=2, norm="before", dropout=0.0).layers
    for name, parameter in first.named_parameters():
        if parameter.dim() > 1:
            assert not torch.equal(parameter, second.get_parameter(name)), name


@pytest.mark.parametrize("mixer", [MIXER, RunningMean])
@pytest.mark.parametrize("norm", ["before", "after"])
def test_a_transformer_computes_the_same_with_and_without_its_padding(
    mixer: Callable[[int], SequenceMixer], norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Transformer(V, mixer, 6, 11, 2, norm, dropout=0.0).double()
    source, toward = ids().masked_fill(~MASK, 0), torch.randn(B, S, 6, dtype=torch.float64)

    def found() -> list[Tensor]:
        annotations = encoder(source, MASK)
        loss = (annotations.states * toward).sum() + annotations.final.square().sum()
        return [annotations.states, annotations.final, *torch.autograd.grad(loss, list(encoder.parameters()))]

    packed = found()
    monkeypatch.setattr(Packing, "of", lambda _: None)
    for one, other in zip(packed, found(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_only_a_mask_with_padding_is_packed() -> None:
    packing = Packing.of(MASK)
    assert packing is not None
    x = torch.arange(B * S * 2.0).view(B, S, 2)
    assert packing.places.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert torch.equal(packing.pack(x), x[MASK])
    assert torch.equal(packing.pad(packing.pack(x)), x * MASK.unsqueeze(-1))
    assert Packing.of(MASK | True) is None


def test_a_source_of_padding_alone_is_encoded_as_zero_where_supported() -> None:
    nothing = torch.tensor([[True] * S, [False] * S])
    for encoder in (Bag(V, D, 0.0), Transformer(V, MIXER, 14, 11, layers=2, norm="after", dropout=0.0).eval()):
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                annotations = encoder(ids(), nothing)
            assert annotations.states.isfinite().all()
            assert not annotations.states[1].any()
            assert not annotations.final[1].any()


@pytest.mark.parametrize("width", [7, 14])
@pytest.mark.parametrize("first", [0, 11])
def test_sinusoids_follow_the_formula(width: int, first: int) -> None:
    found = sinusoids(first, 5, width, torch.zeros(1, dtype=torch.float64))
    assert found.shape == (5, width)
    for p in range(5):
        for d in range(width):
            angle = (first + p) / 10000 ** (2 * (d // 2) / width)
            assert found[p, d].item() == pytest.approx(math.sin(angle) if d % 2 == 0 else math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_and_their_gradients_are_those_of_torch(
    kind: type[nn.GRU] | type[nn.LSTM], bidirectional: bool
) -> None:
    rnn = kind(3, 7, 2, batch_first=True, bidirectional=bidirectional).double()
    x = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for layers in (rnn, lambda packed: run(rnn, packed, nn.Identity())):
        states, last = layers(pack_padded_sequence(x, torch.tensor([3, 5, 1, 5]), True, enforce_sorted=False))
        outputs = [pad_packed_sequence(states, True)[0], *(last if isinstance(last, tuple) else (last,))]
        weighted = [(output * torch.linspace(-1, 2, output.numel()).view(output.shape)).sum() for output in outputs]
        found.append([*outputs, *torch.autograd.grad(sum(weighted), [x, *rnn.parameters()])])
    for expected, ours in zip(*found, strict=True):
        assert torch.allclose(ours, expected, rtol=0, atol=1e-12)
