"""Decode greedily."""

import numpy as np
import torch
from torch import Tensor

from softlookup.layers.fixed_weights import fixed_weights
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Hypothesis, Search, highest, log_normalizer
from softlookup.text.vocabulary import BOS, EOS


class Greedy(Search):
    """y_t = argmax_v p(v | y_<t, x), until EOS or the length limit; one hypothesis per row, scored by log-probability.

    Finished rows stay in the batch until the last one ends: the last bits of a matrix product depend on its number of
    rows, and the published figures were measured this way.
    """

    @torch.inference_mode()
    @fixed_weights()
    def __call__(self, model: Seq2Seq, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:
        model.eval()
        memory, state = model.encode(source, mask)
        limits = self.limits(mask)
        token = torch.full((source.size(0), 1), BOS, device=source.device)
        lengths = torch.zeros_like(limits)
        log_probability = torch.zeros_like(limits, dtype=torch.float64)
        unfinished = torch.ones_like(limits, dtype=torch.bool)
        tokens, written = [], []
        while unfinished.any():
            logits, read, state = model.step(token, memory, state, weights)
            maxima, token = highest(logits, 1)
            log_probability += (maxima - log_normalizer(logits, maxima)).squeeze(1).double() * unfinished
            lengths += unfinished
            tokens.append(token)
            if weights and read is not None:
                written.append(read)
            unfinished = unfinished & (token.squeeze(1) != EOS) & (lengths < limits)
        rows = torch.cat(tokens, 1).tolist() if tokens else []
        kept = _unpadded(torch.cat(written, 1), mask) if written else [None] * len(rows)
        found = zip(rows, lengths.tolist(), log_probability.tolist(), kept, strict=True)
        return [[Hypothesis(ids[:n], log_p, log_p, None if w is None else w[:n])] for ids, n, log_p, w in found]


def _unpadded(weights: Tensor, mask: Tensor) -> list[np.ndarray]:
    """Split weights (B, T, S) into one (T, S) array per row, without the columns of padding."""
    lengths = mask.sum(1).tolist()
    return [row[:, :length] for row, length in zip(weights.cpu().numpy(), lengths, strict=True)]
