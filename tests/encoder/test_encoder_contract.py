"""Contract tests of every encoder in conf/encoder/."""

from typing import Any

import pytest
import torch
from choices import SOURCES, build_encoder, variants
from torch import Tensor

from softlookup.text.vocabulary import PAD

B, S = 3, 7
LENGTHS = torch.tensor([4, 7, 1])

EVERY = pytest.mark.parametrize("variant", variants("encoder"), ids=str)
Variant = tuple[str, dict[str, Any]]


def source() -> tuple[Tensor, Tensor]:
    mask = torch.arange(S) < LENGTHS.unsqueeze(1)
    return torch.randint(4, SOURCES, (B, S)).masked_fill(~mask, PAD), mask


@EVERY
def test_widths_and_shapes_follow_the_contract(variant: Variant) -> None:
    encoder = build_encoder(variant[0], **variant[1])
    ids, mask = source()
    annotations = encoder(ids, mask)
    assert annotations.states.shape == (B, S, encoder.width)
    assert annotations.final.shape == (B, encoder.final_width)
    assert torch.equal(annotations.mask, mask)


@EVERY
@pytest.mark.parametrize("gradients", [True, False])
def test_padding_changes_nothing(variant: Variant, gradients: bool) -> None:
    encoder = build_encoder(variant[0], **variant[1])
    ids, mask = source()
    noise = torch.randint(4, SOURCES, (B, S + 3))
    noise[:, :S] = torch.where(mask, ids, noise[:, :S])
    wider = torch.cat([mask, torch.zeros(B, 3, dtype=torch.bool)], 1)
    # Without gradients torch uses fused kernels.
    with torch.set_grad_enabled(gradients):
        before, after = encoder(ids, mask), encoder(noise, wider)
    assert torch.allclose(before.states[mask], after.states[wider], rtol=0, atol=1e-5)
    assert torch.allclose(before.final, after.final, rtol=0, atol=1e-5)


@EVERY
def test_a_source_is_encoded_the_same_alone_and_in_a_batch(variant: Variant) -> None:
    encoder = build_encoder(variant[0], **variant[1])
    ids, mask = source()
    together = encoder(ids, mask)
    for b, length in enumerate(LENGTHS.tolist()):
        alone = encoder(ids[b : b + 1, :length], mask[b : b + 1, :length])
        assert torch.allclose(together.states[b, :length], alone.states[0], rtol=0, atol=1e-5)
        assert torch.allclose(together.final[b], alone.final[0], rtol=0, atol=1e-5)


@EVERY
def test_gradients_reach_every_parameter_but_no_padding(variant: Variant) -> None:
    encoder = build_encoder(variant[0], **variant[1])
    ids, mask = source()
    annotations = encoder(ids, mask)
    weights = torch.randn_like(annotations.states)
    ((annotations.states * weights)[mask].sum() + annotations.final.square().sum()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert not encoder.get_parameter("embedding.weight").grad[PAD].any()


@EVERY
def test_dropout_acts_only_in_training(variant: Variant) -> None:
    encoder = build_encoder(variant[0], **variant[1], dropout=0.5)
    ids, mask = source()
    assert torch.equal(encoder(ids, mask).states, encoder(ids, mask).states)
    encoder.train()
    assert not torch.equal(encoder(ids, mask).states, encoder(ids, mask).states)
