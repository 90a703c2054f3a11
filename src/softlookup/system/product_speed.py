"""Measure whether products of matrices in bf16 are faster than in float32 on this device.

python -m softlookup.system.product_speed DEVICE      auto, cpu or cuda; prints the seconds of both as JSON
"""

import json
import sys
import time
from collections.abc import Callable

import torch

from softlookup.system import bf16_products

_ROUNDS = 5
_ROWS, _INNER, _OUTER = 64, 256, 768  # a step of a recurrent layer with a batch of 64


def seconds(device: torch.device) -> dict[str, float]:
    """Return the least seconds of a product and its two gradients, from float32 factors, by type; measured in turn."""
    bf16_products.provide()
    x, weight, gradient = (
        torch.ones(shape, device=device) for shape in ((_ROWS, _INNER), (_OUTER, _INNER), (_ROWS, _OUTER))
    )
    kinds = {"float32": torch.float32, "bf16": torch.bfloat16}
    cast = {name: weight.to(kind) for name, kind in kinds.items()}

    def products(name: str) -> None:
        factor, slope = x.to(kinds[name]), gradient.to(kinds[name])
        (factor @ cast[name].t()).float()
        (slope @ cast[name]).float()
        (slope.t() @ factor).float()

    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(_ROUNDS + 1):
        for name, each in taken.items():
            each.append(_timed(lambda name=name: products(name), device))  # type: ignore[misc]
    return {name: min(each[1:]) for name, each in taken.items()}


def _timed(step: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    wanted = sys.argv[1]
    torch.set_num_threads(1)
    print(json.dumps(seconds(torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"))))
