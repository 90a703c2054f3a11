"""From a source to a target that nobody has seen: greedy decoding, batched."""

import torch
from torch import Tensor

from softlookup.seq2seq import Seq2Seq
from softlookup.vocabulary import BOS, EOS, PAD


@torch.no_grad()
def greedy(model: Seq2Seq, source: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """The most probable token at every step, until EOS or 3 n + 10 steps for a source of n real positions.

    source (B, S), mask (B, S) → ids (B, T), PAD after a row's end, and the weights (B, T, S) under which each was
    written, or None. The limit is far above what any target here needs; it ends models that never stop, and it is
    each row's own, so that a hypothesis depends on no other row.
    """
    model.eval()
    memory, state = model.encode(source, mask)
    token = torch.full((source.size(0), 1), BOS, device=source.device)
    finished = torch.zeros(source.size(0), dtype=torch.bool, device=source.device)
    limits = 3 * mask.sum(1) + 10
    tokens, weights = [], []
    while not finished.all():
        logits, step_weights, state = model.step(token, memory, state)
        token = logits.argmax(-1, keepdim=True).masked_fill(finished.unsqueeze(1), PAD)
        tokens.append(token)
        weights.append(step_weights)
        finished = finished | (token.squeeze(1) == EOS) | (len(tokens) >= limits)
    written = [step for step in weights if step is not None]
    return torch.cat(tokens, 1), torch.cat(written, 1) if written else None
