"""The Transformer against Vaswani et al. 2017, section 3, and the parameter count of the base model."""

import math

import numpy as np
import torch
from choices import node
from papers import PREVIOUS, SOURCE, Array, Numbers, assert_equal, attending, model, numbers, softmax, two_steps

from softlookup.config.build import build_model
from softlookup.config.resolve import composed
from softlookup.evaluation.cost import parameters

D, FEED, HEADS, LAYERS = 26, 19, 2, 3


def place(positions: int) -> Array:
    """Return the positional encodings, section 3.5."""
    table = np.zeros((positions, D))
    for pos in range(positions):
        for i in range(D // 2):
            table[pos, 2 * i] = math.sin(pos / 10000 ** (2 * i / D))
            table[pos, 2 * i + 1] = math.cos(pos / 10000 ** (2 * i / D))
    return table


def attention(q: Array, k: Array, v: Array) -> tuple[Array, Array]:
    """Compute eq. 1, one row of q at a time."""
    weights = np.array([softmax(k @ row / math.sqrt(q.shape[1])) for row in q])
    return weights @ v, weights


def multi_head(q: Array, k: Array, v: Array, w_o: Array) -> tuple[Array, Array]:
    """Compute section 3.2.2 after the projections; the returned weights are the mean over heads."""
    heads = [attention(*(np.split(x, HEADS, axis=1)[h] for x in (q, k, v))) for h in range(HEADS)]
    return np.concatenate([head for head, _ in heads], axis=1) @ w_o.T, np.mean([w for _, w in heads], axis=0)


def layer_norm(p: Numbers, name: str, x: Array) -> Array:
    spread = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=1, keepdims=True)) / spread * p[f"{name}.weight"] + p[f"{name}.bias"]


def self_attention(p: Numbers, name: str, x: Array, visible: Array) -> Array:
    """Compute self-attention: each row of x attends to the rows of `visible`."""
    w_q, w_k, w_v = np.split(p[f"{name}.projections.weight"], 3)
    return multi_head(x @ w_q.T, visible @ w_k.T, visible @ w_v.T, p[f"{name}.merge.weight"])[0]


def feed_forward(p: Numbers, name: str, x: Array) -> Array:
    """Eq. 2."""
    hidden = np.maximum(0, x @ p[f"{name}.0.weight"].T + p[f"{name}.0.bias"])
    return hidden @ p[f"{name}.2.weight"].T + p[f"{name}.2.bias"]


def transformer(p: Numbers) -> tuple[list[Array], list[Array]]:
    x = math.sqrt(D) * p["encoder.embedding.weight"][list(SOURCE)] + place(len(SOURCE))
    for i in range(LAYERS):
        name = f"encoder.layers.{i}"
        x = layer_norm(p, f"{name}.around.norms.0", x + self_attention(p, f"{name}.attention", x, x))
        x = layer_norm(p, f"{name}.around.norms.1", x + feed_forward(p, f"{name}.feed_forward", x))

    y = math.sqrt(D) * p["decoder.embedding.weight"][list(PREVIOUS)] + place(len(PREVIOUS))
    weights = np.zeros(0)
    for i in range(LAYERS):
        name = f"decoder.layers.{i}"
        # Causal mask: a position attends to itself and earlier positions.
        mixed = np.concatenate(
            [self_attention(p, f"{name}.self_attention", y[t : t + 1], y[: t + 1]) for t in range(len(y))]
        )
        y = layer_norm(p, f"{name}.around.norms.0", y + mixed)
        w_q, w_k, w_v, w_o = (p[f"{name}.attention.{each}.weight"] for each in ("query", "keys", "values", "output"))
        read, weights = multi_head(y @ w_q.T, x @ w_k.T, x @ w_v.T, w_o)
        y = layer_norm(p, f"{name}.around.norms.1", y + read)
        y = layer_norm(p, f"{name}.around.norms.2", y + feed_forward(p, f"{name}.feed_forward", y))
    return list(y @ p["output.weight"].T + p["output.bias"]), list(weights)


def test_two_steps_of_the_transformer_follow_section_3() -> None:
    sizes = {"width": D, "feed_forward": FEED, "heads": HEADS, "layers": LAYERS}
    encoder, decoder = node("encoder", "vaswani2017", **sizes), node("decoder", "vaswani2017", **sizes)
    seq2seq = model(encoder, decoder, attending("multi_head", heads=HEADS))
    logits, weights = two_steps(seq2seq)
    expected_logits, expected_weights = transformer(numbers(seq2seq))
    assert_equal(logits, expected_logits)
    assert weights is not None
    assert_equal(weights, expected_weights)


def test_the_base_model_has_the_parameter_count_of_table_3() -> None:
    """d_model 512, d_ff 2048, h 8, N 6; 37,000 shared byte pairs (section 5.1), one matrix for both
    embeddings and the output layer (section 3.4). Table 3 says 65 million."""
    d, feed, layers, words = 512, 2048, 6, 37_000
    config = composed(["paper=vaswani2017", "size=paper", "task=copy"])
    with torch.device("meta"):
        seq2seq = build_model(config, words, words)
    attention_matrices = 4 * d * d
    feeding = 2 * d * feed + feed + d
    norm = 2 * d
    expected = {
        "embeddings and output, with one bias per word": words * d + words,
        "encoder": layers * (attention_matrices + feeding + 2 * norm),
        "decoder": layers * (2 * attention_matrices + feeding + 3 * norm),
    }
    assert parameters(seq2seq) == sum(expected.values()) == 63_082_632
    # The table rounds; the paper does not itemize its 65 million.
    assert abs(parameters(seq2seq) / 65e6 - 1) < 0.03


def test_tiny_has_four_layers_of_width_128_in_encoder_and_decoder() -> None:
    config = composed(["paper=vaswani2017", "task=copy"])
    seq2seq = build_model(config, 10_000, 10_000)
    d, feed, layers, words = 128, 256, 4, 10_000
    per_layer = 3 * 4 * d * d + 2 * (2 * d * feed + feed + d) + 5 * 2 * d
    assert parameters(seq2seq) == words * d + words + layers * per_layer
    assert seq2seq.output.weight is seq2seq.decoder.embedding.weight is seq2seq.encoder.embedding.weight
