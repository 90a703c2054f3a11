"""The complete model: all pairs of encoder, decoder and attention, and the output layer."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from choices import (
    DECODER,
    ENCODER,
    OFFERED,
    SOURCES,
    TARGETS,
    attention_node,
    build_seq2seq,
    encoder_for,
    node,
    readers,
    variants,
)
from configs import of_parts
from torch import Tensor

from softlookup.config.build import build_model
from softlookup.contract import Batch
from softlookup.errors import UserError
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.greedy import Greedy
from softlookup.text.vocabulary import BOS, EOS, PAD

SOURCE_LENGTHS = torch.tensor([5, 3, 1])
TARGET_LENGTHS = torch.tensor([4, 7, 2])
B, S, T = 3, 5, 7


def pairs() -> list[tuple[str, tuple[str, dict[str, Any]], str, int | None, str]]:
    """Return every encoder × decoder, encoder × attention and decoder × attention, with a fixed third part.

    Pairs are enough, because two parts depend on the third only by its widths.
    """
    encoders, decoders = OFFERED["encoder"], variants("decoder")
    found = [(encoder, decoder, "additive", None, "global") for encoder in encoders for decoder in decoders]
    found += [(encoder, ("bahdanau", {}), *reader) for encoder in encoders for reader in readers()]
    found += [(encoder_for(decoder), decoder, *reader) for decoder in decoders for reader in readers()]
    return [pair for i, pair in enumerate(found) if pair not in found[:i]]


EVERY = pytest.mark.parametrize(("encoder", "decoder", "attention", "heads", "window"), pairs(), ids=str)


def make_batch() -> Batch:
    source_mask = torch.arange(S) < SOURCE_LENGTHS.unsqueeze(1)
    target_mask = torch.arange(T) < TARGET_LENGTHS.unsqueeze(1)
    source = torch.randint(4, SOURCES, (B, S)).masked_fill(~source_mask, PAD)
    target = torch.randint(4, TARGETS, (B, T)).masked_fill(~target_mask, PAD)
    target[torch.arange(B), TARGET_LENGTHS - 1] = EOS
    inputs = torch.cat([torch.full((B, 1), BOS), target[:, :-1]], 1).masked_fill(~target_mask, PAD)
    places = target_mask.flatten().nonzero()[:, 0]
    return Batch(source, source_mask, inputs, target, target_mask, (), places, SOURCE_LENGTHS)


def with_noise_under_the_mask(batch: Batch) -> Batch:
    """Return the same sentences with random ids on padding, and three more padded columns."""
    noise = torch.randint(4, SOURCES, (B, S + 3))
    noise[:, :S] = torch.where(batch.source_mask, batch.source, noise[:, :S])
    mask = torch.cat([batch.source_mask, torch.zeros(B, 3, dtype=torch.bool)], 1)
    return replace(batch, source=noise, source_mask=mask)


@EVERY
def test_source_padding_changes_no_output(
    encoder: str, decoder: tuple[str, dict[str, Any]], attention: str, heads: int | None, window: str
) -> None:
    model = build_seq2seq(encoder, decoder, attention, heads, window)
    if model is None:
        # With a suitable encoder, only the transformer decoder rejects an attention, and only one.
        assert encoder != encoder_for(decoder) or (
            decoder[0] in ("transformer", "vaswani2017") and attention == "fixed_initial"
        )
        pytest.skip("rejected by design: no path from the source, or a decoder that requires a stacked encoder")
    plain = make_batch()
    noisy = with_noise_under_the_mask(plain)
    logits, noisy_logits = model(plain), model(noisy)
    weights, noisy_weights = (model.teach(each, weights=True).weights for each in (plain, noisy))
    assert torch.allclose(logits, noisy_logits, rtol=0, atol=1e-5)
    assert torch.equal(logits.argmax(-1), noisy_logits.argmax(-1))
    if weights is not None:
        assert torch.allclose(weights, noisy_weights[..., :S], rtol=0, atol=1e-5)
        assert not noisy_weights[..., S:].any()
    search = Greedy(0.0, 5)
    written = [[each.ids for each in search(model, b.source, b.source_mask)[0]] for b in (plain, noisy)]
    assert written[0] == written[1]


def model_of(decoder: str = "bahdanau") -> Seq2Seq:
    model = build_seq2seq(encoder_for((decoder, {})), (decoder, {}), "additive")
    assert model is not None
    return model


@pytest.mark.parametrize("decoder", OFFERED["decoder"])
def test_target_padding_changes_no_output(decoder: str) -> None:
    model, plain = model_of(decoder), make_batch()
    noise = torch.where(plain.target_mask, plain.inputs, torch.randint(4, TARGETS, (B, T)))
    noisy = replace(plain, inputs=noise)
    assert torch.allclose(model(plain), model(noisy), rtol=0, atol=1e-5)


def test_the_output_layer_runs_once_and_never_on_padding() -> None:
    model, batch, shapes = model_of(), make_batch(), []
    model.output.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    logits = model(batch)
    count = int(TARGET_LENGTHS.sum())
    assert shapes == [(count, model.decoder.width)]
    assert logits.shape == (count, TARGETS)


@pytest.mark.parametrize("decoder", OFFERED["decoder"])
def test_logits_are_in_row_major_order_and_equal_those_of_single_steps(decoder: str) -> None:
    model, batch = model_of(decoder), make_batch()
    logits = model(batch)
    memory, state = model.encode(batch.source, batch.source_mask)
    steps = []
    for t in range(T):
        step, _, state = model.step(batch.inputs[:, t : t + 1], memory, state, weights=False)
        assert step[:, [PAD, BOS]].isneginf().all()
        steps.append(step)
    expected = [steps[t][b] for b in range(B) for t in range(int(TARGET_LENGTHS[b]))]
    assert torch.allclose(logits[:, EOS:], torch.stack(expected)[:, EOS:], rtol=0, atol=1e-5)


def initial_weights(decoder: str, attention: str, heads: int | None, seed: int) -> dict[str, Tensor]:
    """Return the initial weights of a run, without those of the attention."""
    # A decoder that starts from the encoder's layers requires equal widths.
    encoder = node("encoder", encoder_for((decoder, {})), **ENCODER | {"width": DECODER["width"]})
    parts = {"encoder": encoder, "decoder": node("decoder", decoder, **DECODER)}
    parts["initialization"] = node("initialization", "own")
    parts["attention"] = attention_node(attention, "softmax", heads)
    model = build_model(of_parts(parts, seed=seed), SOURCES, TARGETS)
    return {name: value for name, value in model.named_parameters() if "attention." not in name}


@pytest.mark.parametrize("decoder", OFFERED["decoder"])
def test_one_seed_gives_equal_initial_weights_where_shapes_agree(decoder: str) -> None:
    first, compared = initial_weights(decoder, "additive", None, seed=3), set()
    for attention, heads, _ in readers():
        # Shapes differ: with two heads the context has the width of the query, and fixed_initial has width 0.
        with contextlib.suppress(UserError):
            other = initial_weights(decoder, attention, heads, seed=3)
            # A transformer layer has a projection of its own for a context without heads.
            assert {name for name in other.keys() ^ first.keys() if not name.endswith(".context.weight")} == set()
            for name, value in other.items():
                if value.shape == first[name].shape:
                    assert torch.equal(value, first[name]), name
            compared.add((attention, heads))
    assert {("general", 2), ("general", None), ("fixed_mean", None)} <= compared
    embedding = "encoder.embedding.weight"
    assert not torch.equal(initial_weights(decoder, "additive", None, seed=5)[embedding], first[embedding])
