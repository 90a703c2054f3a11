"""Derive independent random seeds by purpose."""

import random
import zlib

import numpy as np
import torch


def derived_seed(seed: int, purpose: str) -> int:
    """Derive a seed for one purpose: initialization of a module, data, dropout at a step, evaluation."""
    return int(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Seed the global random generators of Python, NumPy and torch.

    Called at every training step with the seed of that step: random numbers drawn between two steps (by a logger or a
    validation) have no effect, and resuming from a checkpoint needs no generator state.
    """
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed also visits every kind of device that torch knows, which takes a millisecond.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
