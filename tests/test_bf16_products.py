"""Products of bf16 matrices, by whatever means this processor has."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from softlookup.system import bf16_products

SHAPES = {
    torch.mm: [(3, 101), (101, 5)],
    torch.bmm: [(2, 3, 101), (2, 101, 5)],
    torch.addmm: [(3, 5), (3, 101), (101, 5)],
    torch.baddbmm: [(2, 3, 5), (2, 3, 101), (2, 101, 5)],
}


@pytest.mark.parametrize("product", SHAPES, ids=lambda product: product.__name__)
def test_a_product_of_bf16_is_the_exact_one_rounded_and_that_of_float32_has_the_same_bits(
    product: Callable[..., Tensor],
) -> None:
    generator = torch.Generator().manual_seed(7)
    tensors = [torch.randn(shape, generator=generator) for shape in SHAPES[product]]
    before = product(*tensors)
    bf16_products.provide()
    assert torch.equal(product(*tensors), before)
    rounded = [tensor.bfloat16() for tensor in tensors]
    found, exact = product(*rounded), product(*(tensor.double() for tensor in rounded))
    assert found.dtype == torch.bfloat16
    # bf16 has 8 bits: rounding moves a number by at most 1/256 of it; a sum near 0 keeps the rounding of its terms.
    assert torch.allclose(found.double(), exact, rtol=1 / 256, atol=1e-5)
    assert not torch.equal(found.double(), exact)


def test_small_integers_are_multiplied_exactly() -> None:
    bf16_products.provide()
    x, y = (torch.tensor(rows).bfloat16() for rows in ([[1, 2], [3, -4]], [[5, 6], [7, 8]]))
    addend = torch.tensor([[1, -1]]).bfloat16()
    assert (x @ y).tolist() == [[19, 22], [-13, -14]]
    assert torch.addmm(addend, x, y, beta=2, alpha=0.5).tolist() == [[11.5, 9], [-4.5, -9]]
    x.requires_grad_(True)
    (x @ y).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[11, 15], [11, 15]]
