"""Beam search against exhaustive search, and against greedy search."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from choices import OFFERED, SOURCES, build_seq2seq, encoder_for, variants
from torch import Tensor

from softlookup.errors import UserError
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.beam import Beam
from softlookup.search.greedy import Greedy
from softlookup.text.vocabulary import BOS, EOS, PAD, UNK

LENGTHS = torch.tensor([5, 2, 3])
B, S = 3, 5
# Tokens and length limit of the tiny models: 3 + 3·4 + 9·4 + 27·4 sequences, of which at most 27·4 are open at once.
TOKENS, LONGEST, COVERING = (EOS, UNK, 4, 5), 4, 108

DECODERS = pytest.mark.parametrize("decoder", variants("decoder"), ids=str)
PENALTIES = pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (1.0, 0.0), (0.6, 0.7)])


def make(decoder: tuple[str, dict[str, Any]], attention: str = "additive", encoder: str | None = None) -> Seq2Seq:
    model = build_seq2seq(encoder or encoder_for(decoder), decoder, attention)
    if model is None:
        assert encoder not in (None, encoder_for(decoder))
        pytest.skip("rejected by design: the decoder requires a stacked encoder")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model.double()


def tiny(decoder: tuple[str, dict[str, Any]], attention: str = "additive") -> Seq2Seq:
    """Build a model that gives probability to `TOKENS` only."""
    model = make(decoder, attention)
    with torch.no_grad():
        model.output.bias[max(TOKENS) + 1 :] = -torch.inf
    return model


def sources(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(S) < LENGTHS.unsqueeze(1)
    return torch.randint(4, SOURCES, (B, S), generator=generator).masked_fill(~mask, PAD), mask


def every_sequence() -> list[tuple[int, ...]]:
    """Return every sequence of at most `LONGEST` tokens: ended by EOS, or cut by the limit."""
    words = [token for token in TOKENS if token != EOS]
    ending = [(*prefix, EOS) for n in range(LONGEST) for prefix in itertools.product(words, repeat=n)]
    return ending + list(itertools.product(words, repeat=LONGEST))


@torch.no_grad()
def ranked(model: Seq2Seq, source: Tensor, alpha: float, beta: float) -> list[tuple[float, float, tuple[int, ...]]]:
    """Return score, log-probability and ids of every sequence, best first: Wu et al. 2016, eq. 14, in NumPy."""
    sequences = every_sequence()
    rows = torch.full((len(sequences), LONGEST), PAD)
    for row, ids in zip(rows, sequences, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    inputs = torch.cat([torch.full((len(rows), 1), BOS), rows[:, :-1]], 1)
    many = source.expand(len(rows), -1)
    decoded = model.decoder(inputs, *model.encode(many, torch.ones_like(many, dtype=torch.bool)))
    logits = model.output(decoded.readout).numpy()[..., list(TOKENS)]
    weights = None if decoded.weights is None else decoded.weights.numpy()
    found = []
    for i, ids in enumerate(sequences):
        steps = [logits[i, t, TOKENS.index(id)] - np.log(np.exp(logits[i, t]).sum()) for t, id in enumerate(ids)]
        score = sum(steps) / ((5 + len(ids)) / (5 + 1)) ** alpha
        if beta:
            score += beta * sum(np.log(min(covered, 1.0)) for covered in weights[i, : len(ids)].sum(0))
        found.append((score, sum(steps), ids))
    return sorted(found, reverse=True)


@DECODERS
@PENALTIES
def test_a_beam_that_covers_all_sequences_finds_the_best(decoder: tuple, alpha: float, beta: float) -> None:
    model, (source, mask) = tiny(decoder), sources()
    search = Beam(COVERING, alpha, beta, 7, 0.0, LONGEST)
    for b, hypotheses in enumerate(search(model, source, mask)):
        expected = ranked(model, source[b, : LENGTHS[b]], alpha, beta)[:7]
        assert [tuple(each.ids) for each in hypotheses] == [ids for _, _, ids in expected]
        for each, (score, log_probability, _) in zip(hypotheses, expected, strict=True):
            assert each.score == pytest.approx(score, abs=1e-9)
            assert each.log_probability == pytest.approx(log_probability, abs=1e-9)


def test_a_covering_beam_finds_the_best_with_a_fixed_context_too() -> None:
    model, (source, mask) = tiny(("bahdanau", {}), "fixed_mean"), sources()
    (best, *_), *_ = Beam(COVERING, 1.0, 0.0, 1, 0.0, LONGEST)(model, source, mask)
    assert tuple(best.ids) == ranked(model, source[0], 1.0, 0.0)[0][2]
    assert best.weights is None


@pytest.mark.parametrize("encoder", OFFERED["encoder"])
@DECODERS
def test_a_beam_of_one_equals_greedy_search(encoder: str, decoder: tuple) -> None:
    model, (source, mask) = make(decoder, encoder=encoder), sources()
    greedy, beam = Greedy(2.0, 3)(model, source, mask), Beam(1, 0.7, 0.0, 1, 2.0, 3)(model, source, mask)
    for (one,), (other,) in zip(greedy, beam, strict=True):
        assert one.ids == other.ids
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)
        assert np.abs(one.weights - other.weights).max() < 1e-9


class Patient(Beam):
    """Beam search without early stopping: continues while any hypothesis is open."""

    def _hopeful(self, grown: Any, over: Tensor, limits: Tensor, worst: Tensor) -> Tensor:  # noqa: ARG002
        return ~over


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("n_best", [1, 3])
def test_stopping_early_finds_the_same_hypotheses_in_fewer_steps(alpha: float, beta: float, n_best: int) -> None:
    model = make(("bahdanau", {}))
    with torch.no_grad():
        model.output.bias[EOS] += 4.0
    rows: dict[type, int] = {}
    for seed in range(5):
        source, mask = sources(seed)
        found = {}
        for kind in (Beam, Patient):
            search, step = kind(5, alpha, beta, n_best, 3.0, 10), model.step

            def counted(*arguments: Any, kind: type = kind, step: Any = step) -> Any:
                rows[kind] = rows.get(kind, 0) + len(arguments[0])
                return step(*arguments)

            model.step = counted
            found[kind] = search(model, source, mask)
            model.step = step
        for one, other in zip(found[Beam], found[Patient], strict=True):
            assert [each.ids for each in one] == [each.ids for each in other]
            assert [each.score for each in one] == pytest.approx([each.score for each in other], abs=1e-9)
    assert rows[Beam] < rows[Patient]


def test_finished_hypotheses_leave_the_batch() -> None:
    """A model that writes only EOS after its first token decodes B rows, then five hypotheses of each."""
    model, (source, mask) = make(("bahdanau", {})), sources()
    sizes, step = [], model.step

    def forced(inputs: Tensor, *rest: Any) -> Any:
        sizes.append(len(inputs))
        logits, *others = step(inputs, *rest)
        logits[:, EOS] += 1e3 if len(sizes) > 1 else -1e3
        return logits, *others

    model.step = forced
    found = Beam(5, 0.0, 0.0, 5, 3.0, 10)(model, source, mask)
    assert sizes == [B, 5 * B]
    assert all(len(each.ids) == 2 and each.ids[-1] == EOS for hypotheses in found for each in hypotheses)


def test_a_length_penalty_of_one_halves_the_log_probability_of_seven_tokens() -> None:
    model, (source, mask) = make(("luong", {})), sources()
    with torch.no_grad():
        model.output.bias[EOS] = -torch.inf
    for (best,) in Beam(2, 1.0, 0.0, 1, 0.0, 7)(model, source, mask):
        assert len(best.ids) == 7
        assert best.score == pytest.approx(best.log_probability / 2)


def test_a_coverage_penalty_with_a_fixed_context_is_rejected() -> None:
    model, search = make(("bahdanau", {}), "fixed_final"), Beam(2, 0.0, 0.2, 1, 3.0, 10)
    for ask in (lambda: search.check(model), lambda: search(model, *sources())):
        with pytest.raises(UserError, match=r"search\.coverage_penalty=0\.2: a fixed context has no weights"):
            ask()
    search.check(make(("bahdanau", {})))
    Beam(2, 0.0, 0.0, 1, 3.0, 10).check(model)


def test_n_best_above_the_beam_size_is_rejected() -> None:
    with pytest.raises(UserError, match=r"search\.n_best=5: a beam of 3 may hold no more; set search\.size=5"):
        Beam(3, 0.0, 0.0, 5, 3.0, 10)


def test_logits_that_are_nan_raise_an_error() -> None:
    model = make(("bahdanau", {}))
    with torch.no_grad():
        model.output.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="logits are not numbers"):
        Beam(2, 0.0, 0.0, 1, 3.0, 10)(model, *sources())
