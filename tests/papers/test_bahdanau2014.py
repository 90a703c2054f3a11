"""RNNsearch against Bahdanau et al. 2014, appendix A."""

import numpy as np
from choices import node
from papers import PREVIOUS, SOURCE, Array, Numbers, assert_equal, attending, maxout, model, numbers, sigmoid, two_steps

N, M, L, ALIGN = 7, 11, 13, 23


def encode(p: Numbers, direction: int, words: list[int]) -> list[Array]:
    """Encode in one direction, A.2.1; `words` are in reading order."""
    w_z, w_r, w = np.split(np.split(p["encoder.from_input.weight"], 2)[direction], 3)
    b_z, b_r, b = np.split(np.split(p["encoder.from_input.bias"], 2)[direction], 3)
    u_z, u_r = np.split(p["encoder.gates_from_state"][direction], 2)
    u = p["encoder.candidate_from_state"][direction]
    h, states = np.zeros(N), []
    for word in words:
        x = p["encoder.embedding.weight"][word]
        z = sigmoid(w_z @ x + u_z @ h + b_z)
        r = sigmoid(w_r @ x + u_r @ h + b_r)
        candidate = np.tanh(w @ x + u @ (r * h) + b)
        h = (1 - z) * h + z * candidate
        states.append(h)
    return states


def rnnsearch(p: Numbers) -> tuple[list[Array], list[Array]]:
    forward = encode(p, 0, list(SOURCE))
    backward = encode(p, 1, list(SOURCE[::-1]))[::-1]
    h = [np.concatenate(both) for both in zip(forward, backward, strict=True)]  # eq. 7

    w_z, w_r, w = np.split(p["decoder.gates_from_input.weight"], 3)
    b_z, b_r, b = np.split(p["decoder.gates_from_input.bias"], 3)
    u_z, u_r = np.split(p["decoder.gates_from_state.weight"], 2)
    u = p["decoder.candidate_from_state.weight"]
    c_z, c_r, c = np.split(p["decoder.gates_from_context"], 3)
    u_o, v_o = np.split(p["decoder.readout.weight"], [N], axis=1)
    w_a, u_a, v_a = (p[f"decoder.attention.score.{name}.weight"] for name in ("query", "keys", "score"))

    s = np.tanh(p["decoder.initial.weight"] @ backward[0] + p["decoder.initial.bias"])  # s_0 = tanh(W_s ←h_1)
    logits, weights = [], []
    for token in PREVIOUS:
        y = p["decoder.embedding.weight"][token]
        e = np.array([v_a[0] @ np.tanh(w_a @ s + u_a @ h_j) for h_j in h])
        alpha = np.exp(e) / np.exp(e).sum()
        context = sum(alpha[j] * h[j] for j in range(len(h)))
        before = s
        r = sigmoid(w_r @ y + u_r @ s + c_r @ context + b_r)
        z = sigmoid(w_z @ y + u_z @ s + c_z @ context + b_z)
        s = (1 - z) * s + z * np.tanh(w @ y + u @ (r * s) + c @ context + b)
        t = u_o @ before + v_o @ y + p["decoder.readout_from_context"] @ context + p["decoder.readout.bias"]
        logits.append(p["output.weight"] @ maxout(t) + p["output.bias"])
        weights.append(alpha)
    return logits, weights


def test_two_steps_of_rnnsearch_follow_appendix_a() -> None:
    encoder = node("encoder", "bahdanau2014", width=N, embedding=M)
    decoder = node("decoder", "bahdanau2014", width=N, embedding=M, readout=L)
    seq2seq = model(encoder, decoder, attending("additive", width=ALIGN))
    logits, weights = two_steps(seq2seq)
    expected_logits, expected_weights = rnnsearch(numbers(seq2seq))
    assert_equal(logits, expected_logits)
    assert weights is not None
    assert_equal(weights, expected_weights)
