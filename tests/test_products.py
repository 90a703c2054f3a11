"""Products within a loop, and dropout: against the plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from softlookup.layers.dropout import Drop
from softlookup.layers.fixed_weights import fixed_weights, linear, transposed
from softlookup.layers.loop_product import LoopProduct


def test_a_dropped_element_is_zero_and_the_others_are_scaled() -> None:
    """Of 40,009 elements, also in a row that does not fill a random number; the mean is that of the input."""
    dropped = Drop(0.3)
    x = torch.full((40_009,), 7.0, requires_grad=True)
    y = dropped(x)
    kept = y > 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)
    assert (kept[1:] & kept[:-1]).float().mean().item() == pytest.approx(0.49, abs=0.015)  # independent
    assert torch.allclose(y[kept], torch.tensor(10.0), rtol=1e-4)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach() / 7)
    assert torch.equal(dropped.eval()(x), x)


@pytest.mark.parametrize("lead", [(), (2,)])
def test_products_in_a_loop_have_the_gradients_of_products_by_step(lead: tuple[int, ...]) -> None:
    """Two matrices on overlapping columns, each input made from the step before; float64."""
    torch.manual_seed(3)
    addends, start, first, second = (
        torch.randn(*lead, *shape, dtype=torch.float64, requires_grad=True)
        for shape in ((3, 5, 11), (3, 7), (11, 7), (4, 7))
    )

    def final(inside: bool) -> torch.Tensor:
        products = LoopProduct(first), LoopProduct(second)
        joined = products[1].joined(products[0].joined(addends), 7) if inside else addends
        x = start
        for addend in joined.unbind(-2):
            if inside:
                y = products[0](x, addend)
                x = torch.cat([y[..., :3], torch.tanh(products[1](x, y[..., 7:].contiguous()))], -1)
            else:
                y = addend + x @ first.transpose(-1, -2)
                x = torch.cat([y[..., :3], torch.tanh(y[..., 7:] + x @ second.transpose(-1, -2))], -1)
        return x.sin().sum()

    inputs = addends, start, first, second
    for ours, theirs in zip(
        torch.autograd.grad(final(True), inputs), torch.autograd.grad(final(False), inputs), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_weights_that_are_kept_give_the_same_products_and_are_forgotten_afterwards() -> None:
    weight, bias, x = torch.randn(23, 13), torch.randn(23), torch.randn(17, 1, 13)
    with torch.no_grad(), fixed_weights():
        assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
        assert transposed(weight, 17).is_contiguous()
        assert transposed(weight, 17) is transposed(weight, 17)
        assert transposed(weight[:, 5:], 17).equal(weight[:, 5:].t())
    weight *= 2
    with torch.no_grad(), fixed_weights():
        assert torch.equal(linear(x, weight), F.linear(x, weight))
