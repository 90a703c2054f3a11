"""RNNencdec against Cho et al. 2014, appendix A."""

import numpy as np
from choices import node
from papers import PREVIOUS, SOURCE, Array, Numbers, assert_equal, attending, maxout, model, numbers, sigmoid, two_steps

N, M, L = 7, 11, 13


def summarize(p: Numbers) -> tuple[list[Array], Array]:
    """Encode, A.1.1: return the states and c = tanh(V h_N)."""
    w_z, w_r, w = np.split(p["encoder.from_input.weight"], 3)
    b_z, b_r, b = np.split(p["encoder.from_input.bias"], 3)
    u_z, u_r = np.split(p["encoder.gates_from_state"][0], 2)
    u = p["encoder.candidate_from_state"][0]
    h, states = np.zeros(N), []
    for word in SOURCE:
        e = p["encoder.embedding.weight"][word]
        r = sigmoid(w_r @ e + u_r @ h + b_r)  # eq. 5
        z = sigmoid(w_z @ e + u_z @ h + b_z)  # eq. 6
        candidate = np.tanh(w @ e + u @ (r * h) + b)  # eq. 8
        h = z * h + (1 - z) * candidate  # eq. 7
        states.append(h)
    return states, np.tanh(p["encoder.summary.weight"] @ h + p["encoder.summary.bias"])


def decode(p: Numbers, read: object) -> list[Array]:
    """Decode, A.1.2, with the context `read(state)`."""
    _, c = summarize(p)
    w_z, w_r, w = np.split(p["decoder.gates_from_input.weight"], 3)
    b_z, b_r, b = np.split(p["decoder.gates_from_input.bias"], 3)
    u_z, u_r = np.split(p["decoder.gates_from_state.weight"], 2)
    u = p["decoder.candidate_from_state.weight"]
    c_z, c_r, c_h = np.split(p["decoder.gates_from_context"], 3)
    o_h, o_y = np.split(p["decoder.readout.weight"], [N], axis=1)
    h = np.tanh(p["decoder.initial.weight"] @ c + p["decoder.initial.bias"])  # h'_0 = tanh(V' c)
    logits = []
    for token in PREVIOUS:
        e = p["decoder.embedding.weight"][token]
        context = read(h)
        z = sigmoid(w_z @ e + u_z @ h + c_z @ context + b_z)
        r = sigmoid(w_r @ e + u_r @ h + c_r @ context + b_r)
        candidate = np.tanh(w @ e + r * (u @ h + c_h @ context) + b)
        h = z * h + (1 - z) * candidate
        s = o_h @ h + o_y @ e + p["decoder.readout_from_context"] @ context + p["decoder.readout.bias"]
        logits.append(p["output.weight"] @ maxout(s) + p["output.bias"])
    return logits


def parts() -> tuple[dict, dict]:
    return (
        node("encoder", "cho2014", width=N, embedding=M),
        node("decoder", "cho2014", width=N, embedding=M, readout=L),
    )


def test_two_steps_of_rnnencdec_follow_appendix_a() -> None:
    seq2seq = model(*parts(), node("attention", "fixed_final"))
    logits, weights = two_steps(seq2seq)
    assert weights is None
    p = numbers(seq2seq)
    assert_equal(logits, decode(p, lambda _: summarize(p)[1]))


def test_with_an_attention_every_step_has_its_own_context() -> None:
    seq2seq = model(*parts(), attending("dot"))
    p = numbers(seq2seq)

    def read(h: Array) -> Array:
        states, _ = summarize(p)
        e = np.array([h @ state for state in states])
        return sum(weight * state for weight, state in zip(np.exp(e) / np.exp(e).sum(), states, strict=True))

    assert_equal(two_steps(seq2seq)[0], decode(p, read))
