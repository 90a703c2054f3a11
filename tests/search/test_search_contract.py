"""Contract tests of every search in conf/search/."""

import numpy as np
import pytest
import torch
from choices import OFFERED, node, variants
from searched import LENGTHS, make, sources

from softlookup.config.build import build
from softlookup.search.search import BLOCK, Hypothesis, Search, highest, log_normalizer
from softlookup.text.vocabulary import BOS, EOS, PAD

EVERY = pytest.mark.parametrize("search", OFFERED["search"])
DECODERS = pytest.mark.parametrize("decoder", variants("decoder"), ids=str)


def searching(name: str, **changed: float) -> Search:
    return build(node("search", name, size=3, n_best=3, **changed))


def assert_same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [each.ids for each in found] == [each.ids for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-9)
        assert (one.weights is None) == (other.weights is None)
        if one.weights is not None:
            assert np.abs(one.weights - other.weights).max() < 1e-9


@EVERY
@DECODERS
def test_hypotheses_do_not_depend_on_the_batch(search: str, decoder: tuple) -> None:
    model, (source, mask), find = make(decoder, stopping=1.0).double(), sources(), searching(search)
    together = find(model, source, mask)
    for order in ([4, 2, 0], [1, 3, 1]):
        for b, found in zip(order, find(model, source[order], mask[order]), strict=True):
            assert_same(found, together[b])
    for b, length in enumerate(LENGTHS.tolist()):
        (alone,) = find(model, source[b : b + 1, :length], mask[b : b + 1, :length])
        assert_same(alone, together[b])


@EVERY
@pytest.mark.parametrize("attention", OFFERED["attention"])
def test_hypotheses_have_the_scores_and_weights_of_forced_decoding(search: str, attention: str) -> None:
    model, (source, mask), find = (
        make(("luong", {}), attention, stopping=1.0).double(),
        sources(),
        searching(search, length_penalty=0.0),
    )
    for b, hypotheses in enumerate(find(model, source, mask)):
        assert hypotheses
        assert [each.score for each in hypotheses] == sorted((each.score for each in hypotheses), reverse=True)
        assert len({tuple(each.ids) for each in hypotheses}) == len(hypotheses)
        for each in hypotheses:
            row = slice(b, b + 1)
            with torch.no_grad():
                inputs = torch.tensor([[BOS, *each.ids[:-1]]])
                decoded = model.decoder(inputs, *model.encode(source[row], mask[row]))
                logits = model.output(decoded.readout)[0]
            logits[:, [PAD, BOS]] = -torch.inf
            steps = logits.log_softmax(-1)[torch.arange(len(each.ids)), each.ids]
            assert each.score == each.log_probability == pytest.approx(steps.sum().item(), abs=1e-9)
            if decoded.weights is None:
                assert each.weights is None
            else:
                expected = decoded.weights[0, :, : LENGTHS[b]].numpy()
                assert each.weights.shape == expected.shape
                assert np.abs(each.weights - expected).max() < 1e-9


@EVERY
def test_pad_and_bos_are_never_written_and_nothing_follows_eos(search: str) -> None:
    model, (source, mask) = make(("bahdanau", {}), stopping=3.0).double(), sources()
    with torch.no_grad():
        model.output.bias[[PAD, BOS]] = 1e9
    for hypotheses in searching(search)(model, source, mask):
        for each in hypotheses:
            assert not {PAD, BOS} & set(each.ids)
            assert EOS not in each.ids[:-1]


@EVERY
@pytest.mark.parametrize(("ratio", "extra"), [(0.0, 0), (0.0, 3), (1.5, 0), (0.5, 2)])
def test_no_hypothesis_is_longer_than_its_own_limit(search: str, ratio: float, extra: int) -> None:
    model, (source, mask) = make(("bahdanau", {}), stopping=-1e9).double(), sources()
    find = searching(search, longest_ratio=ratio, longest_extra=extra)
    for hypotheses, length in zip(find(model, source, mask), LENGTHS.tolist(), strict=True):
        for each in hypotheses:
            assert len(each.ids) == max(1, int(ratio * length) + extra)
            assert EOS not in each.ids


@EVERY
@pytest.mark.parametrize("attention", ["scaled_dot", "additive"])
def test_a_search_without_weights_gives_the_same_tokens(search: str, attention: str) -> None:
    model, (source, mask), find = (
        make(("transformer", {}), attention, stopping=1.0).double(),
        sources(),
        searching(search),
    )
    for plain, lean in zip(find(model, source, mask), find(model, source, mask, weights=False), strict=True):
        assert [each.ids for each in lean] == [each.ids for each in plain]
        assert [each.score for each in lean] == pytest.approx([each.score for each in plain], rel=1e-12)
        assert all(each.weights is None for each in lean)


@pytest.mark.parametrize("vocabulary", [3 * BLOCK, 5 * BLOCK + 7, 17])
@pytest.mark.parametrize("count", [1, 4])
def test_the_highest_logits_are_those_of_a_full_sort(vocabulary: int, count: int) -> None:
    logits = torch.stack([torch.randperm(vocabulary).double() for _ in range(5)])
    logits[0, -1], logits[1, 0], logits[2, 1:] = 1e3, 1e3, -torch.inf
    ordered, ids = logits.sort(dim=-1, descending=True)
    values, found = highest(logits, count)
    assert torch.equal(values, ordered[:, :count])
    finite = values > -torch.inf
    assert torch.equal(found[finite], ids[:, :count][finite])
    maxima = values[:, :1]
    assert torch.allclose(log_normalizer(logits.clone(), maxima), logits.logsumexp(-1, keepdim=True), atol=1e-12)
