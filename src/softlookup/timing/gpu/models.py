"""Name the models and the kinds of arithmetic that the GPU report measures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from softlookup.config.build import RunParts, build_run
from softlookup.config.resolve import composed
from softlookup.timing.probe import Probe, probe

MODELS = {
    "RNNsearch": ("encoder=gru", "attention=additive", "decoder=bahdanau"),
    "luong, input feeding": ("encoder=gru", "attention=general", "decoder=luong"),
    "Transformer": ("encoder=transformer", "attention=scaled_dot", "decoder=transformer"),
    "RNNencdec": ("encoder=gru", "attention=fixed_final", "decoder=bahdanau"),
}
# Arithmetic by name. float32 is that of a run; "any order" allows sums in any order, so the last bits may vary.
FLOAT32, ANY_ORDER, TF32, BF16 = "float32", "float32, any order", "TF32", "bf16 autocast"
KINDS = (FLOAT32, ANY_ORDER, TF32, BF16)
# As a published RNN: embeddings and each direction 256 wide, states 512, 8,000 words of each language.
_RNN = ("encoder.embedding=256", "encoder.width=256", "decoder.embedding=256", "decoder.width=512")
_LARGE = {
    "RNNsearch": (*_RNN, "decoder.readout=256", "attention.score.width=512"),
    "luong, input feeding": _RNN,
    "Transformer": (
        *(f"{part}.{key}" for part in ("encoder", "decoder") for key in ("width=256", "feed_forward=1024", "layers=4")),
        "attention.heads=4",
    ),
    "RNNencdec": (*_RNN, "decoder.readout=256"),
}
_TASK = ("task=reverse", "task.symbols=8000", "task.longest=64")
_SMALL = ("task=reverse", "task.symbols=50", "task.longest=8")
SENTENCES, FEW = 64, 8


def overrides(model: str, small: bool) -> list[str]:
    """Return the command line of a model: as published, or with the default sizes on short sentences."""
    sizes = _SMALL if small else (*_TASK, *_LARGE[model])
    return [*MODELS[model], *sizes, "tracking=disabled"]


def built(model: str, device: str, small: bool) -> tuple[RunParts, Probe]:
    """Build a model on a device, and its training step on the longest sentences: 64, or 8 of a small one."""
    parts = build_run(composed([*overrides(model, small), f"device={device}"]))
    return parts, probe(parts, parts.model, FEW if small else SENTENCES)


@contextmanager
def arithmetic(kind: str, device: str) -> Iterator[None]:
    """Compute in this kind of arithmetic within the block."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.get_deterministic_debug_mode()
    cudnn.allow_tf32 = products.allow_tf32 = kind == TF32
    if kind == ANY_ORDER:
        torch.set_deterministic_debug_mode("default")
    try:
        with torch.autocast(device, torch.bfloat16) if kind == BF16 else nullcontext():
            yield
    finally:
        torch.set_deterministic_debug_mode(before)
        cudnn.allow_tf32 = products.allow_tf32 = False


def all_threads() -> None:
    """Let torch use every core, as one run alone on a machine would."""
    torch.set_num_threads(os.cpu_count() or 1)
