"""Weights of every layer and head: those of drawn examples, and the measures of each head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from choices import DECODER, ENCODER, SOURCES, TARGETS, build_seq2seq, node
from toys.linear_read import LinearRead
from toys.running_mean import RunningMean

from softlookup.config.build import build
from softlookup.config.resolve import composed
from softlookup.contract import Batch, Example
from softlookup.data.collate import collate
from softlookup.encoder.transformer import Transformer as Encoder
from softlookup.evaluation import cost
from softlookup.evaluation.evaluate import measured
from softlookup.evaluation.layers import weights_of
from softlookup.evaluation.outputs import run_test
from softlookup.model.seq2seq import Seq2Seq
from softlookup.run import start
from softlookup.runs.run_folder import RunFolder
from softlookup.search.greedy import Greedy
from softlookup.task.copy import Copy

SOURCE, TARGET = (5, 11, 7, 13, 3), (8, 6)
S, T = len(SOURCE) + 1, len(TARGET) + 1


def transformer(attention: str, heads: int | None) -> Seq2Seq:
    model = build_seq2seq("transformer", ("transformer", {}), attention, heads)
    assert model is not None
    return model


def test_every_layer_and_head_of_a_transformer_has_its_weights() -> None:
    model = transformer("scaled_dot", 2)
    found = weights_of(model, SOURCE, TARGET)
    layers = len(model.decoder.layers)
    assert found["lookups"].shape == (layers, 2, T, S)
    assert found["decoder"].shape == (layers, 2, T, T)
    assert found["encoder"].shape == (len(model.encoder.layers), 2, S, S)
    for weights in found.values():
        assert weights.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert not np.triu(found["decoder"], 1).any()
    batch = collate([Example(SOURCE, TARGET)])
    mean = model.teach(batch, weights=True).weights
    assert found["lookups"][-1].mean(0) == pytest.approx(mean[0].detach().numpy(), abs=1e-6)


@pytest.mark.parametrize(("decoder", "options"), [("bahdanau", {}), ("luong", {"input_feeding": True})])
def test_a_recurrent_decoder_has_its_heads_and_no_mixers(decoder: str, options: dict) -> None:
    model = build_seq2seq("gru", (decoder, options), "general", 2)
    assert model is not None
    found = weights_of(model, SOURCE, TARGET)
    assert found.keys() == {"lookups"}
    assert found["lookups"].shape == (1, 2, T, S)


def test_one_lookup_without_heads_has_nothing_beside_its_weights() -> None:
    model = build_seq2seq("gru", ("bahdanau", {}), "general", None)
    assert model is not None
    assert weights_of(model, SOURCE, TARGET) == {}


def test_a_read_and_a_mixer_without_weights_have_none() -> None:
    encoder = Encoder(SOURCES, RunningMean, ENCODER["width"], 11, 2, "after", 0.0)
    made = build(node("decoder", "transformer", width=26, heads=2))
    model = Seq2Seq(lambda _: encoder, lambda *widths: made(*widths, LinearRead), SOURCES, TARGETS).eval()
    assert weights_of(model, SOURCE, TARGET).keys() == {"decoder"}


def test_each_head_is_measured_as_the_only_one_would_be() -> None:
    """Of one layer and one head the measures are those of the run."""
    task = Copy(symbols=13, shortest=3, longest=5)
    model = build_seq2seq("gru", ("bahdanau", {}), "general", 1)
    assert model is not None
    small = Seq2Seq(lambda _: model.encoder, lambda *_: model.decoder, SOURCES, TARGETS).eval()
    small.output = torch.nn.Linear(model.decoder.width, len(task.target_vocabulary))
    outputs = run_test(small, task, torch.device("cpu"), Greedy(1.0, 3))
    found = measured(outputs, task, small)
    (head,) = found.heads
    assert (head["layer"], head["head"]) == (1, 1)
    for name in ("alignment_accuracy", "gold_mass", "aer", "entropy", "alignment_accuracy_given_right"):
        assert head[name] == pytest.approx(found.metrics[f"test/forced/{name}"]), name


def test_a_run_keeps_the_weights_of_what_it_draws_and_the_measures_of_its_heads(tmp_path: Path) -> None:
    words = ["task=copy", "task.longest=4", "encoder=transformer", "decoder=transformer", "attention=multi_head"]
    sizes = ["encoder.width=14", "decoder.width=14", "encoder.layers=1", "attention.heads=2", "mixer.heads=7"]
    quick = ["budget=300", "batch_tokens=100", "validations=1", "tracking=disabled", "device=cpu"]
    config = composed([*words, *sizes, *quick, f"runs_dir={tmp_path}"])
    start(config)
    folder = RunFolder.of(config)
    row = folder.result()
    assert row is not None
    assert [(head["layer"], head["head"]) for head in row["heads"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    with np.load(folder.path / "alignments.npz", allow_pickle=False) as stored:
        rows, columns = stored["weights_0"].shape
        assert stored["lookups_0"].shape == (2, 2, rows, columns)
        assert stored["lookups_0"][-1].mean(0) == pytest.approx(stored["weights_0"], abs=1e-5)
        assert stored["encoder_0"].shape == (1, 7, columns, columns)
        assert stored["decoder_0"].shape == (2, 7, rows, rows)


def test_the_memory_of_a_lookup_grows_with_the_source_and_that_of_a_fixed_context_does_not() -> None:
    def read(attention: str, length: int) -> int:
        model = build_seq2seq("gru", ("bahdanau", {}), attention, None)
        assert model is not None
        source = torch.full((3, length), 5)
        nothing = torch.zeros(3, 1, dtype=torch.long)
        empty = Batch(source, source > 0, nothing, nothing, nothing > 0, (), nothing[0], torch.full((3,), length))
        return cost.state(model, empty)["state_bytes"]

    assert read("fixed_mean", 7) == read("fixed_mean", 11)
    assert read("general", 11) * 7 == read("general", 7) * 11
    # For each of 7 positions a key as wide as the query, a value of both directions, and a byte of mask.
    assert read("general", 7) == 7 * (4 * (DECODER["width"] + 2 * ENCODER["width"]) + 1)
    # The keys of a dot product are the values.
    assert read("dot", 7) == 7 * (4 * 2 * ENCODER["width"] + 1)
    assert read("fixed_initial", 7) == 0
