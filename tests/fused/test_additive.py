"""Additive attention without its weights: the compiled kernels and torch's tiles against the equation with weights.

The Triton kernels, in float32 only, run in Triton's interpreter with TRITON_INTERPRET=1, where Triton is installed.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from softlookup.evaluation.ledger import Ledger
from softlookup.fused import additive, native, tiled
from softlookup.timing.additive import extra_bytes, step_of

CPU = torch.device("cpu")
FORMS = ("compiled", "tiled", "triton")
B, H, T, S, D, V = 3, 2, 13, 37, 19, 23  # several tiles of 8 queries and of 16 positions, with rests


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "tiled":
        monkeypatch.setattr(additive, "compiled", lambda *_: False)
        monkeypatch.setitem(tiled._ELEMENTS, "cpu", 5 * B * H * D)
    elif request.param == "triton":
        monkeypatch.setattr(additive, "_without_c", lambda _: interpreted())
    elif native.library(torch.float64) is None:
        pytest.skip("no C compiler")
    return str(request.param)


def interpreted() -> ModuleType:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("needs TRITON_INTERPRET=1, without a GPU")
    from softlookup.fused import triton_additive

    return triton_additive


@pytest.fixture
def memory_filled_with_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    assert torch.empty(1).isnan()
    yield
    torch.use_deterministic_algorithms(False)


def plain(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Σ_s exp(e_ts) x_s / Σ_s exp(e_ts) over the mask; 0 where it is empty."""
    scores = (torch.tanh(query[:, :, :, None] + keys[:, :, None]) * vector[:, None, None]).sum(-1)
    weights = scores.exp() * mask
    return weights @ values / weights.sum(-1, keepdim=True).clamp(min=1e-30)


def inputs(
    real: torch.dtype = torch.float64, batch: int = B, heads: int = H, steps: int = T, length: int = S
) -> list[Tensor]:
    """Return query, keys, vector and values, none of them contiguous."""
    shapes = [(batch, steps, heads, D), (batch, length, heads, D), (D, heads), (batch, length, heads, V)]
    return [
        torch.randn(shape, dtype=torch.float64).to(real).transpose(-2, 1 if len(shape) > 2 else -1).requires_grad_()
        for shape in shapes
    ]


def masks() -> Iterator[Tensor]:
    lengths = torch.tensor([S, 5, 0])[:, None, None, None]  # the third row has no real position
    padding = torch.arange(S) < lengths
    yield padding
    yield padding & (torch.rand(B, 1, T, S) > 0.7)  # as a window, with queries that see nothing
    yield torch.ones(T, S, dtype=torch.bool).tril(S - T)


@pytest.mark.usefixtures("memory_filled_with_nan")
@pytest.mark.parametrize(("real", "close"), [(torch.float64, 1e-13), (torch.float32, 2e-5), (torch.bfloat16, 0.2)])
def test_context_and_gradients_are_those_of_the_equation(form: str, real: torch.dtype, close: float) -> None:
    if form == "triton" and real == torch.float64:
        pytest.skip("Triton computes in float32")
    for mask in masks():
        given = inputs(real)
        exact = [each.detach().double().requires_grad_() for each in given]
        found, expected = additive.attend(*given, mask), plain(*exact, mask)
        assert found.dtype == real
        assert (found - expected).abs().max() < close
        assert not found[(~mask.expand(B, H, T, S)).all(-1)].any()
        gradient = torch.randn_like(expected)
        found.backward(gradient.to(real))
        expected.backward(gradient.to(real).double())
        for one, other in zip(given, exact, strict=True):
            assert (one.grad - other.grad).abs().max() < close * (1 + other.grad.abs().max())


def test_gradients_match_finite_differences(form: str) -> None:
    if form == "triton":
        pytest.skip("Triton computes in float32")
    mask = torch.rand(1, 1, 3, 17) > 0.3
    mask[..., 1, :] = False
    given = inputs(batch=2, steps=3, length=17)
    assert torch.autograd.gradcheck(lambda *each: additive.attend(*each, mask), given, fast_mode=True)


@pytest.mark.usefixtures("memory_filled_with_nan")
def test_what_stands_at_hidden_positions_has_no_effect(form: str) -> None:
    mask = next(masks())
    found = []
    for poison in (0.0, torch.nan, torch.inf):
        torch.manual_seed(2)
        given = inputs(torch.float32 if form == "triton" else torch.float64)
        hidden = ~mask.mT  # (B, 1, S, 1)
        poisoned = [given[0], given[1].masked_fill(hidden, poison), given[2], given[3].masked_fill(hidden, poison)]
        context = additive.attend(*poisoned, mask)
        context.square().sum().backward()
        found.append([context, *(each.grad for each in given)])
    assert all(each.isfinite().all() for each in found[0])
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, with which Triton interprets
def test_a_score_that_is_not_a_number_stays_one(form: str) -> None:
    given = inputs(torch.float32 if form == "triton" else torch.float64)
    with torch.no_grad():
        given[0][0, 0, 2, 3] = torch.nan
    context = additive.attend(*given, torch.ones(1, dtype=torch.bool))
    assert context[0, 0, 2].isnan().all()
    assert context.isnan().sum() == V


def test_a_second_derivative_is_refused(form: str) -> None:  # noqa: ARG001
    given = inputs()
    context = additive.attend(*given, torch.ones(1, dtype=torch.bool))
    (first,) = torch.autograd.grad(context.square().sum(), given[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"steps": 0}, {"length": 0}])
def test_no_sentences_steps_or_positions_give_gradients_of_zero(form: str, sizes: dict[str, int]) -> None:  # noqa: ARG001
    given = inputs(**sizes)
    additive.attend(*given, torch.ones(1, dtype=torch.bool)).sum().backward()
    assert all(not each.grad.any() for each in given)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2)])
def test_the_bits_do_not_depend_on_the_number_of_threads(shape: tuple[int, int]) -> None:
    given, found = inputs(torch.float32, *shape, steps=31, length=101), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            context = additive.attend(*given, torch.ones(1, dtype=torch.bool))
            found.append([context, *torch.autograd.grad(context.square().sum(), given)])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for others in found[1:] for one, other in zip(found[0], others, strict=True))


def test_flops_are_those_of_the_plain_form() -> None:
    mask = torch.ones(1, dtype=torch.bool)
    counted = []
    for attend in (additive.attend, plain_of_products):
        given = [each.detach().contiguous().requires_grad_() for each in inputs()]
        with FlopCounterMode(display=False) as forward:
            context = attend(*given, mask)
        with FlopCounterMode(display=False) as backward:
            context.sum().backward()
        counted.append((forward.get_total_flops(), backward.get_total_flops()))
    assert counted[0] == counted[1]
    assert counted[0] == (2 * B * H * T * S * (D + V), 4 * B * H * T * S * (D + V))


def test_memory_is_linear_in_the_length_and_is_predicted_to_the_byte() -> None:
    extra = {length: extra_bytes(additive.attend, length) for length in (128, 512, 2048)}
    assert extra[512] < 10e6
    assert extra[2048] <= 4.1 * extra[512] <= 4.1 * 4.1 * extra[128]
    figures = []
    for mode in (nullcontext(), FakeTensorMode()):
        with mode:
            step = step_of(additive.attend, 37, 5, CPU)
            with Ledger(CPU, nn.Identity()) as ledger:
                step()
        figures.append(ledger.figures())
    assert figures[0] == figures[1]


def plain_of_products(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001
    scores = (torch.tanh(query[:, :, :, None] + keys[:, :, None]) @ vector[:, None, :, None]).squeeze(-1)
    return scores.softmax(-1) @ values


WITHOUT = """
import torch
from softlookup.fused import additive
for real in (torch.float32, torch.float64):
    given = [torch.ones(shape, dtype=real) for shape in ((1, 1, 2, 3), (1, 1, 5, 3), (1, 3), (1, 1, 5, 4))]
    assert torch.equal(additive.attend(*given, torch.ones(1, dtype=torch.bool)), given[3][:, :, :2])
"""


@pytest.mark.parametrize(
    ("compiler", "told"),
    [
        (None, "there is no C compiler (cc, gcc or clang)"),
        ("false", "false failed: no message"),
        ("'", "CC=': No closing quotation"),
    ],
)
def test_without_a_compiler_torch_computes_and_it_is_reported_once(
    tmp_path: Path, compiler: str | None, told: str
) -> None:
    environment = {
        "PATH": "/nowhere",
        "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(additive.__file__).parents[2]),
    }
    if compiler is not None:
        environment |= {"CC": compiler, "PATH": "/bin:/usr/bin"}
    done = subprocess.run([sys.executable, "-c", WITHOUT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        0, f"warning: {told}; attention is computed by torch, several times slower; install gcc, or set CC\n"
    )  # fmt: skip
    assert not list(tmp_path.rglob("*.so"))
