"""Derive independent random seeds by purpose."""

import random
import zlib

import numpy as np
import torch


def derived_seed(seed: int, purpose: str) -> int:
    """Return the seed of a run for one purpose: initialization of a part, data, dropout at a step, evaluation."""
    return int(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Start the global generators of Python, NumPy and torch anew.

    Done at every training step with a seed of that step: what a logger, a validation or a stop draws between two steps
    changes nothing, and a run that goes on from a checkpoint needs no generator's state.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
