"""Recurrent decoders against the equations of their docstrings, reimplemented in NumPy for one sentence."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from softlookup.attention.fixed_initial import FixedInitial
from softlookup.attention.general import General
from softlookup.attention.soft import SoftAttention
from softlookup.contract import Annotations, Decoder
from softlookup.decoder.bahdanau import Bahdanau
from softlookup.decoder.luong import Luong
from softlookup.normalizer.softmax import Softmax
from softlookup.window.unrestricted import Global

S, T, V, ANNOTATION, FINAL, E, D, R = 3, 5, 17, 7, 11, 13, 19, 23

Array = NDArray[np.float64]
READ = partial(SoftAttention, score=General, normalizer=Softmax(), window=Global)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def attend(p: dict[str, Array], query: Array, states: Array) -> tuple[Array, Array]:
    scores = np.array([query @ p["attention.score.bilinear.weight"] @ state for state in states])
    weights = np.exp(scores) / np.exp(scores).sum()
    return sum(weight * state for weight, state in zip(weights, states, strict=True)), weights


def run(decoder: Decoder) -> tuple[dict[str, Array], Array, Array, list[int], Array, Array]:
    """Return parameters, states, final state and input ids of one sentence, and `decoder`'s readouts and weights."""
    decoder.double().eval()
    states, final = (torch.randn(1, *shape, dtype=torch.float64) for shape in ((S, ANNOTATION), (FINAL,)))
    inputs = torch.randint(4, V, (1, T))
    with torch.no_grad():
        source = Annotations(states, torch.ones(1, S, dtype=torch.bool), final)
        decoded = decoder(inputs, *decoder.prepare(source))
    p = {name: value.detach().numpy() for name, value in decoder.named_parameters()}
    weights = np.empty((T, 0)) if decoded.weights is None else decoded.weights[0].numpy()
    return p, states[0].numpy(), final[0].numpy(), inputs[0].tolist(), decoded.readout[0].numpy(), weights


def test_bahdanau_follows_appendix_a_2_2() -> None:
    p, states, final, inputs, readouts, all_weights = run(Bahdanau(V, ANNOTATION, FINAL, READ, E, D, R, 0.0))
    w_z, w_r, w = np.split(p["gates_from_input.weight"], 3)
    b_z, b_r, b = np.split(p["gates_from_input.bias"], 3)
    u_z, u_r = np.split(p["gates_from_state.weight"], 2)
    c_z, c_r, c = np.split(p["gates_from_context"], 3)
    u_o, v_o = np.split(p["readout.weight"], [D], axis=1)
    s = np.tanh(p["initial.weight"] @ final + p["initial.bias"])
    for t, token in enumerate(inputs):
        y = p["embedding.weight"][token]
        context, weights = attend(p, s, states)
        z = sigmoid(w_z @ y + b_z + u_z @ s + c_z @ context)
        r = sigmoid(w_r @ y + b_r + u_r @ s + c_r @ context)
        candidate = np.tanh(w @ y + b + p["candidate_from_state.weight"] @ (r * s) + c @ context)
        s = (1 - z) * s + z * candidate
        before = u_o @ s + v_o @ y + p["readout.bias"] + p["readout_from_context"] @ context
        readout = [max(before[2 * i], before[2 * i + 1]) for i in range(R)]
        assert np.abs(all_weights[t] - weights).max() < 1e-10
        assert np.abs(readouts[t] - readout).max() < 1e-10


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_luong_follows_sections_3_and_3_3(feeding: bool, layers: int) -> None:
    decoder = Luong(V, ANNOTATION, FINAL, READ, E, D, layers, feeding, 0.0)
    p, states, final, inputs, readouts, all_weights = run(decoder)
    start = (p["initial.weight"] @ final + p["initial.bias"]).reshape(2, layers, D)
    hidden, cell = list(np.tanh(start[0])), list(start[1])
    fed = np.zeros(D)
    for t, token in enumerate(inputs):
        below = np.concatenate([p["embedding.weight"][token], fed]) if feeding else p["embedding.weight"][token]
        for i in range(layers):
            of = {name: p[f"cells.{i}.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            gates = of["weight_ih"] @ below + of["bias_ih"] + of["weight_hh"] @ hidden[i] + of["bias_hh"]
            enter, forget, candidate, leave = np.split(gates, 4)
            cell[i] = sigmoid(forget) * cell[i] + sigmoid(enter) * np.tanh(candidate)
            below = hidden[i] = sigmoid(leave) * np.tanh(cell[i])
        context, weights = attend(p, hidden[-1], states)
        fed = np.tanh(p["readout.weight"] @ np.concatenate([context, hidden[-1]]))
        assert np.abs(all_weights[t] - weights).max() < 1e-10
        assert np.abs(readouts[t] - fed).max() < 1e-10


def test_a_layer_of_luong_equals_the_lstm_cell_of_torch() -> None:
    decoder = Luong(V, ANNOTATION, FINAL, FixedInitial, E, D, 1, False, 0.0)
    p, _, final, inputs, readouts, _ = run(decoder)
    state = tuple(torch.from_numpy(p["initial.weight"] @ final + p["initial.bias"]).reshape(2, 1, D))
    state = (state[0].tanh(), state[1])
    cell = decoder.cells[0]
    assert isinstance(cell, nn.LSTMCell)
    for t, token in enumerate(inputs):
        state = cell(decoder.embedding.weight[token].unsqueeze(0), state)
        expected = torch.tanh(decoder.readout(state[0]))[0]
        assert np.abs(readouts[t] - expected.detach().numpy()).max() < 1e-10


@pytest.mark.parametrize(("name", "first"), [("bahdanau", "state"), ("luong", "hidden")])
def test_the_decoder_starts_from_the_final_state(name: str, first: str) -> None:
    make = {
        "bahdanau": lambda: Bahdanau(V, ANNOTATION, FINAL, FixedInitial, E, D, R, 0.0),
        "luong": lambda: Luong(V, ANNOTATION, FINAL, FixedInitial, E, D, 2, True, 0.0),
    }[name]
    source = Annotations(torch.randn(2, S, ANNOTATION), torch.ones(2, S, dtype=torch.bool), torch.randn(2, FINAL))
    decoder = make()
    memory, state = decoder.prepare(source)
    assert memory.context.size(-1) == 0
    assert not torch.equal(state.decoder[first][0], state.decoder[first][1])
    decoded = decoder(torch.full((2, T), 4), memory, state)
    assert (decoded.readout[0] != decoded.readout[1]).any(-1).all()
