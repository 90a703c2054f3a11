"""Encoders that reverse the source, and encoders that pass the state of every layer to the decoder."""

import pytest
import torch

from softlookup.attention.fixed_initial import FixedInitial
from softlookup.contract import Decoder
from softlookup.decoder.luong2015 import Luong2015
from softlookup.decoder.sutskever2014 import Sutskever2014
from softlookup.encoder.bahdanau2014 import Bahdanau2014
from softlookup.encoder.order import backwards
from softlookup.encoder.stacked import Stacked
from softlookup.encoder.stacked_reversed import StackedReversed
from softlookup.errors import UserError

V, E, D, LAYERS, S = 17, 5, 7, 3, 5
MASK = torch.arange(S) < torch.tensor([[3], [5], [0], [1]])


def test_backwards_reverses_real_positions_and_is_its_own_inverse() -> None:
    order = backwards(MASK)
    assert order.tolist() == [[2, 1, 0, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert torch.equal(order.gather(1, order), torch.arange(S).expand(4, S))


def test_a_reversed_stack_encodes_the_reversed_source_and_keeps_its_order() -> None:
    plain, turned = Stacked(V, E, D, LAYERS, 0.0), StackedReversed(V, E, D, LAYERS, 0.0)
    turned.load_state_dict(plain.state_dict())
    ids = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]])
    back = torch.tensor([[7, 6, 5, 0, 0], [12, 11, 10, 9, 8]])
    read, expected = turned(ids, MASK[:2]), plain(back, MASK[:2])
    assert torch.equal(read.final, expected.final)
    assert torch.equal(read.states[0, :3], expected.states[0, :3].flip(0))
    assert torch.equal(read.states[1], expected.states[1].flip(0))


def test_the_final_state_is_hidden_and_cell_of_every_layer() -> None:
    encoder = Stacked(V, E, D, LAYERS, 0.0)
    read = encoder(torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]]), MASK[:2])
    hidden, cell = read.final.unflatten(-1, (2, LAYERS, D)).unbind(1)
    assert torch.equal(hidden[0, -1], read.states[0, 2])
    assert torch.equal(hidden[1, -1], read.states[1, 4])
    # A layer's hidden state is o ∘ tanh(c), so |h| < |c|.
    assert (hidden.abs() < cell.abs()).all()


def test_a_row_of_padding_alone_is_encoded_as_zero_by_gated_units() -> None:
    read = Bahdanau2014(V, E, D, 0.0)(torch.full((4, S), 5), MASK)
    assert not read.states[2].any()
    assert not read.final[2].any()
    assert not read.states[0, 3:].any()
    # The final state is the backward half of the first annotation.
    assert torch.equal(read.states[:, 0, D:], read.final)


@pytest.mark.parametrize(
    "make",
    [
        lambda final: Luong2015(V, D, final, FixedInitial, E, D, LAYERS, True, 0.0),
        lambda final: Sutskever2014(V, D, final, FixedInitial, E, D, LAYERS, 0.0),
    ],
    ids=["luong2015", "sutskever2014"],
)
def test_an_encoder_that_has_no_matching_layers_is_rejected_with_a_remedy(make: type[Decoder]) -> None:
    assert make(2 * LAYERS * D).prepare
    with pytest.raises(
        UserError, match=r"42 numbers, .* has 28; choose encoder=stacked .* encoder\.layers=3 encoder\.w"
    ):
        make(28)
