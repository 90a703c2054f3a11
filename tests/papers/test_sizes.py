"""Parameter counts of each paper's model at the paper's sizes, from the paper's formulas; no weights are allocated.

Matrices and biases are counted separately, because the papers omit biases from their formulas. Vocabulary sizes include
PAD, BOS, EOS and UNK.
"""

from typing import Any

import pytest
import torch
from choices import node

from softlookup.config.build import build
from softlookup.model.seq2seq import Seq2Seq


def counts(vocabularies: tuple[int, int], encoder: dict, decoder: dict, attention: dict) -> tuple[Seq2Seq, int, int]:
    """Return a model on the meta device and the parameter counts of its matrices and of its biases."""
    read = build(attention)
    with torch.device("meta"):
        model = Seq2Seq(build(encoder), lambda *widths: build(decoder)(*widths, read), *vocabularies)
    biases = sum(value.numel() for value in model.parameters() if value.dim() == 1)
    return model, sum(value.numel() for value in model.parameters()) - biases, biases


def attending(choice: str, **changed: Any) -> dict[str, Any]:
    return node("attention", choice, normalizer=node("normalizer", "softmax"), **changed)


def test_rnnsearch_has_the_parameter_count_of_appendix_a() -> None:
    """Bahdanau et al. 2014, A.2.3: n = 1000, m = 620, l = 500, n' = 1000; 30,000 words (section 4.1)."""
    k, n, m, l, n_ = 30_000, 1000, 620, 500, 1000  # noqa: E741 - the paper's names
    sizes = {"width": n, "embedding": m, "readout": l}
    _, matrices, biases = counts(
        (k, k),
        node("encoder", "bahdanau2014", **sizes),
        node("decoder", "bahdanau2014", **sizes),
        attending("additive", width=n_),
    )
    expected = {
        "E of both languages": 2 * k * m,
        "W, U of both directions": 2 * 3 * (n * m + n * n),
        "W_s": n * n,
        "W, U, C of the decoder": 3 * (n * m + n * n + n * 2 * n),
        "W_a, U_a, v_a": n_ * n + n_ * 2 * n + n_,
        "U_o, V_o, C_o": 2 * l * n + 2 * l * m + 2 * l * 2 * n,
        "W_o": k * l,
    }
    assert matrices == sum(expected.values()) == 80_401_000
    assert biases == 2 * 3 * n + n + 3 * n + 2 * l + k == 41_000


@pytest.mark.parametrize(
    ("k", "m", "total"),
    [
        # The baseline of Bahdanau et al. 2014, Table 1: "1000 hidden units each", the other sizes as in RNNsearch.
        (30_000, 620, 69_540_000),
        # Cho et al. 2014, section 4.1: 15,000 words, rank 100. Their output matrix is a product of rank 100 too,
        # 15,000 × 100 + 100 × 500 numbers where ours has 15,000 × 500, 5,950,000 fewer.
        (15_000, 100, 24_200_000),
    ],
)
def test_rnnencdec_has_the_parameter_count_of_its_appendix(k: int, m: int, total: int) -> None:
    n, l = 1000, 500  # noqa: E741
    sizes = {"width": n, "embedding": m, "readout": l}
    _, matrices, biases = counts(
        (k, k),
        node("encoder", "cho2014", **sizes),
        node("decoder", "cho2014", **sizes),
        node("attention", "fixed_final"),
    )
    expected = {
        "e of both languages": 2 * k * m,
        "W, U of the encoder": 3 * (n * m + n * n),
        "V and V'": 2 * n * n,
        "W', U', C": 3 * (n * m + n * n + n * n),
        "O_h, O_y, O_c": 2 * l * (n + m + n),
        "G": k * l,
    }
    assert matrices == sum(expected.values()) == total
    assert biases == 3 * n + n + n + 3 * n + 2 * l + k


def test_the_deep_lstm_of_sutskever_has_384_million_parameters() -> None:
    """Sutskever et al. 2014, section 3.4: 384 M, 64 M of them recurrent, 32 M of these in the encoder; 4 layers of
    1000, embeddings of 1000, 160,000 source words and 80,000 target words."""
    n, layers = 1000, 4
    sizes = {"width": n, "embedding": n, "layers": layers}
    model, matrices, biases = counts(
        (160_000, 80_000),
        node("encoder", "stacked_reversed", **sizes),
        node("decoder", "sutskever2014", **sizes),
        node("attention", "fixed_initial"),
    )
    recurrent = [sum(v.numel() for v in part.parameters() if v.dim() > 1) for part in (model.encoder, model.decoder)]
    recurrent = [recurrent[0] - 160_000 * n, recurrent[1] - 80_000 * n]
    assert recurrent == [32_000_000, 32_000_000]
    assert matrices == 160_000 * n + 80_000 * n + sum(recurrent) + 80_000 * n == 384_000_000
    # PyTorch's LSTM has two bias vectors per layer.
    assert biases == 2 * layers * 2 * 4 * n + 80_000
    assert model.encoder.final_width == 8000


@pytest.mark.parametrize("score", ["dot", "general", "concat", "location"])
@pytest.mark.parametrize("window", ["global", "local_m", "local_p"])
@pytest.mark.parametrize("feeding", [True, False])
def test_luongs_models_have_the_parameter_counts_of_section_3(score: str, window: str, feeding: bool) -> None:
    """Luong et al. 2015, section 4.1: 4 layers of 1000 cells, embeddings of 1000, 50,000 words per language."""
    k, n, layers = 50_000, 1000, 4
    sizes = {"width": n, "embedding": n, "layers": layers}
    _, matrices, biases = counts(
        (k, k),
        node("encoder", "stacked_reversed", **sizes),
        node("decoder", "luong2015", input_feeding=feeding, **sizes),
        attending(score, window=node("window", window), **{"width": n} if score == "concat" else {}),
    )
    expected = {
        "embeddings": 2 * k * n,
        "both stacks": 2 * layers * 4 * (n * n + n * n),
        "input feeding: the first layer's input is 2n wide": 4 * n * n if feeding else 0,
        "W_a, v_a": {"dot": 0, "general": n * n, "concat": n * 2 * n + n, "location": 51 * n}[score],
        "W_p, v_p": n * n + n if window == "local_p" else 0,
        "W_c": n * 2 * n,
        "W_s": k * n,
    }
    assert matrices == sum(expected.values())
    if (score, window, feeding) == ("general", "global", True):
        assert matrices == 221_000_000
    assert biases == 2 * layers * 2 * 4 * n + k
