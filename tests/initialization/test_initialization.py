"""Initialization rules: properties common to all of them, and each rule against its paper."""

import math
from typing import Any

import pytest
import torch
from choices import DECODER, ENCODER, OFFERED, SOURCES, TARGETS, attention_node, encoder_for, node
from configs import of_parts
from torch import Tensor, nn

from softlookup.config.build import build_model
from softlookup.contract import Role
from softlookup.errors import UserError
from softlookup.initialization.uniform import Uniform
from softlookup.model.parameter_roles import weights
from softlookup.model.seq2seq import Seq2Seq
from softlookup.text.vocabulary import PAD

EVERY = pytest.mark.parametrize("rule", OFFERED["initialization"])
ATTENDS = {"transformer", "vaswani2017"}
# Wide enough for meaningful means and standard deviations.
WIDE = {"width": 58, "embedding": 61, "readout": 53}


def build(rule: str, encoder: str, decoder: str, seed: int = 3, attention: str = "additive", **changed: Any) -> Seq2Seq:
    parts = {
        "encoder": node("encoder", encoder, **ENCODER | changed),
        "decoder": node("decoder", decoder, **DECODER | changed),
        "attention": attention_node(attention, "softmax", None),
        "initialization": node("initialization", rule),
    }
    parts["attention"]["score"] |= {"width": 59} if attention == "additive" else {}
    return build_model(of_parts(parts, seed=seed), SOURCES, TARGETS)


def by_role(model: Seq2Seq) -> dict[Role, list[Tensor]]:
    found: dict[Role, list[Tensor]] = {}
    for _, role, weight in weights(model):
        found.setdefault(role, []).append(weight.detach())
    return found


@pytest.mark.parametrize("encoder", OFFERED["encoder"])
@pytest.mark.parametrize("decoder", OFFERED["decoder"])
def test_recurrent_blocks_are_distinct_square_views_of_the_weights(encoder: str, decoder: str) -> None:
    try:
        model = build("own", encoder, decoder, width=26)
    except UserError:
        pytest.skip("rejected by design: the decoder requires a stacked encoder")
    with torch.no_grad():
        for part, attends in ((model.encoder, {"bag", *ATTENDS}), (model.decoder, ATTENDS)):
            before = {name: value.clone() for name, value in part.named_parameters()}
            blocks = list(part.recurrent_blocks())
            for block in blocks:
                assert block.size(0) == block.size(1)
                block.add_(1.0)
            added = [value - before[name] for name, value in part.named_parameters()]
            assert all(((change - 1).abs() < 1e-6)[change != 0].all() for change in added)
            assert sum(int((change != 0).sum()) for change in added) == sum(block.numel() for block in blocks)
            assert bool(blocks) == ((encoder if part is model.encoder else decoder) not in attends)


@EVERY
def test_no_rule_changes_padding_layer_norms_or_the_generator_state(rule: str) -> None:
    torch.manual_seed(7)
    own = build("own", "transformer", "transformer", width=26)
    after = torch.random.get_rng_state()
    torch.manual_seed(7)
    model = build(rule, "transformer", "transformer", width=26)
    assert torch.equal(torch.random.get_rng_state(), after)
    for embedding in (model.encoder.embedding, model.decoder.embedding):
        assert not embedding.weight[PAD].any()
        assert embedding.weight[PAD + 1 :].all()
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert norms
    for norm in norms:
        assert torch.equal(norm.weight, torch.ones(26))
        assert not norm.bias.any()
    changed = [not torch.equal(a, b) for a, b in zip(model.parameters(), own.parameters(), strict=True)]
    assert any(changed) == (rule != "own")


@EVERY
@pytest.mark.parametrize("decoder", ["bahdanau", "luong2015", "transformer"])
def test_one_seed_gives_equal_initial_weights_where_shapes_agree(rule: str, decoder: str) -> None:
    encoder = encoder_for((decoder, {}))
    first, other, another = (
        dict(build(rule, encoder, decoder, seed, attention, width=26).named_parameters())
        for seed, attention in ((3, "additive"), (3, "general"), (5, "additive"))
    )
    shared = first.keys() & other.keys()
    assert len(shared) > 10
    for name in shared:
        if first[name].shape == other[name].shape:
            assert torch.equal(first[name], other[name]), name
    assert not torch.equal(first["output.weight"], another["output.weight"])


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [("gru", "bahdanau"), ("bahdanau2014", "bahdanau2014"), ("cho2014", "cho2014"), ("stacked", "luong2015")],
)
def test_gaussian_follows_appendix_b_of_bahdanau_et_al(encoder: str, decoder: str) -> None:
    found = by_role(build("gaussian", encoder, decoder, **WIDE))
    assert len(found[Role.RECURRENT]) == {"gru": 6 + 3, "bahdanau2014": 6 + 3, "cho2014": 3 + 3, "stacked": 8}[encoder]
    for block in found[Role.RECURRENT]:
        assert torch.allclose(block @ block.T, torch.eye(58), atol=1e-5)
    distinct = [block for block in found[Role.RECURRENT] if not torch.equal(block, found[Role.RECURRENT][0])]
    assert len(distinct) == len(found[Role.RECURRENT]) - 1
    assert not any(bias.any() for bias in found[Role.BIAS])
    assert [vector.shape for vector in found[Role.ALIGNMENT_VECTOR]] == [(1, 59)]
    assert not found[Role.ALIGNMENT_VECTOR][0].any()
    assert len(found[Role.ALIGNMENT]) == 2
    for matrix in found[Role.ALIGNMENT]:
        assert matrix.std().item() == pytest.approx(0.001, rel=0.05)
    embeddings = [embedding[PAD + 1 :] for embedding in found[Role.EMBEDDING]]
    recurrent = {block.untyped_storage().data_ptr() for block in found[Role.RECURRENT]}
    others = [matrix for matrix in found[Role.MATRIX] if matrix.untyped_storage().data_ptr() not in recurrent]
    assert len(others) >= 4
    for matrix in (*others, *embeddings):
        assert matrix.std().item() == pytest.approx(0.01, rel=0.1)
        assert abs(matrix.mean().item()) < 0.001


def test_uniform_covers_its_interval_exactly() -> None:
    for role, found in by_role(build("uniform", "stacked", "luong2015", **WIDE)).items():
        for weight in found:
            assert weight.abs().max() <= 0.1
            if weight.numel() > 1000:
                assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.07), role
    with pytest.raises(UserError, match=r"initialization\.bound=0: expected a number above 0"):
        Uniform(0)


def test_xavier_follows_glorot_and_embeddings_have_unit_length() -> None:
    found = by_role(build("xavier", "transformer", "transformer", **WIDE))
    for matrix in found[Role.MATRIX]:
        bound = (6 / sum(matrix.shape)) ** 0.5
        assert 0.95 * bound < matrix.abs().max() <= bound
    for embedding in found[Role.EMBEDDING]:
        assert embedding[PAD + 1 :].square().sum(-1).mean().item() == pytest.approx(1, rel=0.15)
    assert not any(bias.any() for bias in found[Role.BIAS])
    assert Role.RECURRENT not in found


def test_a_scalar_parameter_keeps_the_initial_value_of_its_part() -> None:
    # The cosine score requires equal widths of query and annotation: a stack of one direction has them.
    model = build("gaussian", "stacked", "bahdanau", attention="cosine", width=26)
    assert model.decoder.attention.score.log_strength.item() == pytest.approx(math.log(26) / 2)
