"""The reversed source and the deep LSTM of Sutskever et al. 2014."""

import numpy as np
from choices import node
from papers import PREVIOUS, SOURCE, Array, Numbers, assert_equal, lstm, model, numbers, two_steps

N, M, LAYERS = 7, 11, 3


def sutskever(p: Numbers) -> list[Array]:
    h, c = [np.zeros(N)] * LAYERS, [np.zeros(N)] * LAYERS
    for word in reversed(SOURCE):  # section 3.3
        x = p["encoder.embedding.weight"][word]
        for i in range(LAYERS):
            h[i], c[i] = lstm(p, f"encoder.rnn.{{}}_l{i}", x, h[i], c[i])
            x = h[i]
    logits = []
    for token in PREVIOUS:  # eq. 1: the decoder's first state is the encoder's last, layer by layer
        x = p["decoder.embedding.weight"][token]
        for i in range(LAYERS):
            h[i], c[i] = lstm(p, f"decoder.cells.{i}.{{}}", x, h[i], c[i])
            x = h[i]
        logits.append(p["output.weight"] @ x + p["output.bias"])
    return logits


def test_two_steps_follow_sections_2_and_3() -> None:
    encoder = node("encoder", "stacked_reversed", width=N, embedding=M, layers=LAYERS)
    decoder = node("decoder", "sutskever2014", width=N, embedding=M, layers=LAYERS)
    seq2seq = model(encoder, decoder, node("attention", "fixed_initial"))
    logits, weights = two_steps(seq2seq)
    assert weights is None
    assert_equal(logits, sutskever(numbers(seq2seq)))
