"""Decode greedily."""

import numpy as np
import torch
from torch import Tensor

from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Hypothesis, Search, log_normalizer
from softlookup.text.vocabulary import BOS, EOS


class Greedy(Search):
    """y_t = argmax_v p(v | y_<t, x), until EOS or the limit; one hypothesis per row, scored by its log-probability.

    Finished rows stay in the batch until the last one ends: the last bits of a matrix product depend on its number
    of rows, and published figures were made so.
    """

    @torch.inference_mode()
    def __call__(self, model: Seq2Seq, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:
        model.eval()
        memory, state = model.encode(source, mask)
        limits = self.limits(mask)
        token = torch.full((source.size(0), 1), BOS, device=source.device)
        lengths = torch.zeros_like(limits)
        log_probability = torch.zeros_like(limits, dtype=torch.float64)
        going = torch.ones_like(limits, dtype=torch.bool)
        tokens, written = [], []
        while going.any():
            logits, read, state = model.step(token, memory, state)
            token = logits.argmax(-1, keepdim=True)
            highest = logits.gather(1, token)
            log_probability += (highest - log_normalizer(logits, highest)).squeeze(1).double() * going
            lengths += going
            tokens.append(token)
            if weights and read is not None:
                written.append(read)
            going = going & (token.squeeze(1) != EOS) & (lengths < limits)
        rows = torch.cat(tokens, 1).tolist() if tokens else []
        kept = _own(torch.cat(written, 1), mask) if written else [None] * len(rows)
        found = zip(rows, lengths.tolist(), log_probability.tolist(), kept, strict=True)
        return [[Hypothesis(ids[:n], own, own, None if w is None else w[:n])] for ids, n, own, w in found]


def _own(weights: Tensor, mask: Tensor) -> list[np.ndarray]:
    """weights (B, T, S) → for every row (T, S), without the columns of padding."""
    lengths = mask.sum(1).tolist()
    return [row[:, :length] for row, length in zip(weights.cpu().numpy(), lengths, strict=True)]
