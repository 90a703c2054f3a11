"""Steps of each optimizer by hand, and the rejection of values out of range."""

import pytest
import torch

from softlookup.contract import Optimizer
from softlookup.errors import UserError
from softlookup.optimizer.adadelta import Adadelta
from softlookup.optimizer.adam import Adam
from softlookup.optimizer.sgd import Sgd

ADAM = {"rate": 0.003, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-9, "clip": 1.0}


def stepped(optimizer: Optimizer, times: int = 1) -> torch.Tensor:
    """Return the weights [1, −2] after steps with the gradient [3, −5]."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    built = optimizer.build([weight])
    for _ in range(times):
        built.zero_grad()
        (weight * torch.tensor([3.0, -5.0])).sum().backward()
        built.step()
    return weight.detach()


def test_a_first_step_of_adam_is_the_rate_along_the_sign() -> None:
    assert torch.allclose(stepped(Adam(**ADAM | {"rate": 0.01})), torch.tensor([0.99, -1.99], dtype=torch.float64))


def test_steps_of_adadelta_follow_the_paper() -> None:
    rho, epsilon, squares, moves = 0.95, 1e-6, 0.0, 0.0
    value = 1.0
    for _ in range(3):  # algorithm 1 by hand, for the gradient 3
        squares = rho * squares + (1 - rho) * 9
        move = -((moves + epsilon) ** 0.5) / (squares + epsilon) ** 0.5 * 3
        moves = rho * moves + (1 - rho) * move**2
        value += move
    found = stepped(Adadelta(rate=1.0, rho=rho, epsilon=epsilon, clip=1.0), times=3)
    assert found[0].item() == pytest.approx(value, abs=1e-12)


def test_a_step_of_sgd_is_the_rate_times_the_gradient() -> None:
    assert torch.allclose(stepped(Sgd(0.5, clip=None), 2), torch.tensor([-2.0, 3.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate": 0.0}, r"optimizer\.rate=0\.0"),
        ({"rate": float("nan")}, r"optimizer\.rate=nan"),
        ({"rate": float("inf")}, r"optimizer\.rate=inf"),
        ({"clip": -1.0}, r"optimizer\.clip=-1\.0"),
        ({"beta2": 1.0}, r"optimizer\.beta2=1\.0"),
        ({"epsilon": 0.0}, r"optimizer\.epsilon=0\.0"),
    ],
)
def test_values_out_of_range_are_rejected_by_name(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Adam(**ADAM | wrong)
    if "beta2" not in wrong:
        settings = {"rate": 1.0, "rho": 0.95, "epsilon": 1e-6, "clip": 1.0} | wrong
        with pytest.raises(UserError, match=message):
            Adadelta(**settings)


def test_adadelta_rejects_rho_out_of_range_by_name() -> None:
    with pytest.raises(UserError, match=r"optimizer\.rho=1\.0"):
        Adadelta(rate=1.0, rho=1.0, epsilon=1e-6, clip=None)
