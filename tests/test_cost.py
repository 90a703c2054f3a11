"""Memory and operations of a step against values by hand and torch's profiler; times against plain sums."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from softlookup.attention.additive import Additive as AdditiveScore
from softlookup.evaluation.cost import parameters, step_cost, summarize_steps
from softlookup.evaluation.ledger import Ledger
from softlookup.model.loss import scaled_loss

FLOAT = 4
CPU = torch.device("cpu")


def peak(module, *inputs, optimizer=torch.optim.Adam):
    chosen = optimizer(module.parameters())

    def step():
        module(*inputs).sum().backward()
        chosen.step()

    return step_cost(step, module, chosen, CPU)["peak_bytes"]


class Packed(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell(7, 11, batch_first=True, bidirectional=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True)[0]


class Additive(nn.Module):
    """Compute vᵀ tanh(q + k) with broadcasting, as a tensor (B, T, S, D)."""

    def __init__(self, width):
        super().__init__()
        self.v = nn.Linear(width, 1, bias=False)

    def forward(self, query, keys):
        return self.v(torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)))


class General(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.w = nn.Linear(width, width, bias=False)

    def forward(self, query, keys):
        return query @ self.w(keys).transpose(1, 2)


class DotProduct(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x):
        return F.scaled_dot_product_attention(*self.project(x).unsqueeze(1).chunk(3, -1))


def test_parameters_count_shared_tensors_once_and_frozen_ones_never():
    shared = nn.Linear(7, 11)
    frozen = nn.Linear(5, 3).requires_grad_(False)
    assert parameters(nn.ModuleList([shared, nn.Sequential(shared), frozen])) == 7 * 11 + 11


def test_adam_on_a_linear_layer_by_hand():
    # Peak at the update: weight, gradient, two moments, √v and √v / √(1 − β₂ᵗ) of the denominator, and the step count.
    # The backward pass needs less: weight, gradient, moments and the (5, 11) output.
    module = nn.Linear(7, 11, bias=False)
    assert peak(module, torch.ones(5, 7)) == 6 * 7 * 11 * FLOAT + FLOAT


def test_sgd_on_a_linear_layer_by_hand():
    # Weight and gradient at the end of the backward pass, and the loss and its gradient, one float each.
    module = nn.Linear(17, 19, bias=False)
    assert peak(module, torch.ones(2, 17), optimizer=torch.optim.SGD) == (2 * 17 * 19 + 2) * FLOAT


def test_activations_kept_for_the_backward_pass_are_counted():
    module = nn.Sequential(nn.Linear(1, 1), *[nn.Tanh() for _ in range(5)])
    rows = 1009
    assert peak(module, torch.ones(rows, 1)) >= 5 * rows * FLOAT
    deeper = nn.Sequential(module, *[nn.Tanh() for _ in range(2)])
    assert peak(deeper, torch.ones(rows, 1)) - peak(module, torch.ones(rows, 1)) == 2 * rows * FLOAT


def test_broadcast_additive_scores_need_batch_target_source_width_more():
    batch, target, source, width = 3, 13, 17, 23
    query, keys = torch.randn(batch, target, width), torch.randn(batch, source, width)
    broadcast = batch * target * source * width * FLOAT
    difference = peak(Additive(width), query, keys) - peak(General(width), query, keys)
    assert broadcast <= difference <= 3 * broadcast


def test_the_peak_includes_the_optimizer_state():
    # Activations dominate, so the peak is in the backward pass, in addition to Adam's two moments.
    inputs = torch.randn(1009, 7)
    module = nn.Sequential(nn.Linear(7, 11, bias=False), nn.Tanh(), nn.Tanh())
    more = peak(module, inputs) - peak(module, inputs, optimizer=torch.optim.SGD)
    assert more == 2 * 7 * 11 * FLOAT + FLOAT


def layers():
    x, lengths = torch.randn(3, 5, 7), torch.tensor([3, 5, 2])
    layer = nn.TransformerEncoderLayer(8, 2, 13, batch_first=True)
    return {
        "gru, packed": (Packed(nn.GRU), x, lengths),
        "lstm, packed": (Packed(nn.LSTM), x, lengths),
        "transformer": (nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(3, 5, 8)),
        "scaled_dot_product_attention": (DotProduct(), torch.randn(3, 11, 8)),
    }


@pytest.mark.parametrize("name", layers())
def test_the_peak_of_every_layer_in_use_is_reproducible(name):
    module, *inputs = layers()[name]
    first = peak(module, *inputs)
    assert first >= 4 * FLOAT * parameters(module)
    assert peak(module, *inputs) == first
    assert peak(layers()[name][0], *inputs) == first


@pytest.mark.parametrize("name", ["gru, packed", "lstm, packed", "transformer"])
def test_the_peak_equals_that_of_the_allocator(name):
    module, *inputs = layers()[name]
    optimizer = torch.optim.SGD(module.parameters())

    def step():
        module(*inputs).sum().backward()
        optimizer.step()

    tracked = step_cost(step, module, optimizer, CPU)["peak_bytes"]
    optimizer.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    running, highest = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        running += event.nbytes()
        highest = max(highest, running)
    viewed = inputs[0].nbytes if name == "transformer" else 0  # its transposed input counts as a view
    assert tracked == FLOAT * parameters(module) + viewed + highest


def test_random_numbers_and_the_garbage_collector_are_not_affected():
    module = nn.Sequential(nn.Linear(7, 11), nn.Dropout(0.5))
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    peak(module, torch.ones(5, 7))
    assert torch.equal(torch.rand(5), expected)
    assert gc.isenabled()


def test_an_error_in_the_step_is_raised_and_leaves_no_hook():
    module = nn.Linear(7, 11)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        peak(module, torch.ones(5, 3))
    assert gc.isenabled()
    peak(module, torch.ones(5, 7))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_also_reports_the_peak_of_its_allocator():
    device = torch.device("cuda")
    module = nn.Linear(1009, 2003, bias=False).to(device)
    optimizer = torch.optim.Adam(module.parameters())
    inputs = torch.ones(5, 1009, device=device)

    def step():
        module(inputs).sum().backward()
        optimizer.step()

    found = step_cost(step, module, optimizer, device)
    assert found["peak_bytes"] >= 4 * 1009 * 2003 * FLOAT
    assert found["cuda_max_memory_allocated"] == pytest.approx(found["peak_bytes"], rel=0.3)


def test_times_of_few_steps():
    found = summarize_steps([1.0, 2.0, 6.0], [10, 20, 60])
    assert found == {"seconds_per_step": 2.0, "tokens_per_second": 10.0, "training_seconds": 9.0}
    assert set(summarize_steps([], []).values()) == {None}
    with pytest.raises(ValueError, match="1 steps and the tokens of 2"):
        summarize_steps([1.0], [1, 2])


def test_slow_first_steps_count_only_in_the_total():
    found = summarize_steps([100.0] * 3 + [2.0] * 27, [7] * 30)
    assert found == {"seconds_per_step": 2.0, "tokens_per_second": 3.5, "training_seconds": 354.0}


def test_a_step_of_several_calls_adds_one_gradient_to_the_peak_of_one_call():
    """In the second call the gradients of the first are still there, but not its activations."""
    module, inputs = nn.Linear(17, 19, bias=False), torch.ones(2, 17)
    optimizer = torch.optim.SGD(module.parameters())

    def measured(calls):
        def step():
            for _ in range(calls):
                module(inputs).sum().backward()
            optimizer.step()

        return step_cost(step, module, optimizer, CPU)["peak_bytes"]

    # Weight and gradient, in a second backward pass the new gradient before it is added; the loss and its gradient.
    assert measured(1) == (2 * 17 * 19 + 2) * FLOAT
    assert measured(2) == measured(3) == (3 * 17 * 19 + 2) * FLOAT


def counted(module, forward):
    with Ledger(CPU, module) as ledger:
        forward().sum().backward()
    return ledger


def test_operations_of_the_additive_score_by_hand():
    """W q, U k and vᵀ tanh(…), each with a gradient of its weight and one of its input, which q and k do not need."""
    (b, t, s), (q, k, d) = (3, 5, 7), (11, 13, 17)
    score = AdditiveScore(q, k, d)
    query, annotations = torch.randn(b, t, q), torch.randn(b, s, k)
    ledger = counted(score, lambda: score(query, score.prepare(annotations), {})[0])
    of_query, of_keys, of_scores = 2 * b * t * q * d, 2 * b * s * k * d, 2 * b * t * s * d
    assert ledger.forward_flops == of_query + of_keys + of_scores
    assert ledger.backward_flops == of_query + of_keys + 2 * of_scores


def test_fused_attention_has_the_operations_of_the_plain_one_and_recomputes_the_scores():
    query, keys, values = (torch.randn(2, 3, n, 11, requires_grad=True) for n in (5, 7, 7))
    fused = counted(nn.Module(), lambda: F.scaled_dot_product_attention(query, keys, values))
    plain = counted(nn.Module(), lambda: (query @ keys.transpose(-2, -1)).softmax(-1) @ values)
    assert fused.forward_flops == plain.forward_flops == 2 * 2 * (2 * 3 * 5 * 7 * 11)
    assert plain.backward_flops == 2 * plain.forward_flops
    assert fused.backward_flops == plain.backward_flops + plain.forward_flops // 2


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_loss_has_the_operations_of_its_three_products(precision):
    """Logits, gradient of the readout and gradient of the weight: each 2 · positions · width · vocabulary."""
    positions, width, vocabulary = 11, 13, 17
    output = nn.Linear(width, vocabulary)
    readout = torch.randn(1, positions, width, requires_grad=True)
    target = torch.arange(positions)
    with Ledger(CPU, output) as ledger, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        scaled_loss(readout, output.weight, output.bias, torch.arange(positions), target, 0.1, 1.0).backward()
    assert ledger.figures()["flops"] == 3 * (2 * positions * width * vocabulary)


def test_a_product_in_place_has_the_operations_of_the_product():
    a, b, both = torch.ones(3, 5), torch.ones(5, 7), torch.ones(2, 3, 5)
    with Ledger(CPU, nn.Module()) as ledger:
        torch.ones(3, 7).addmm_(a, b)
        torch.ones(2, 3, 7).baddbmm_(both, torch.ones(2, 5, 7))
        torch.mm(a, b, out=torch.ones(3, 7))
        torch.ones(3, 7).mul_(2)
    assert ledger.forward_flops == 2 * 3 * 5 * 7 * (1 + 2 + 1)


def test_an_operator_without_a_formula_makes_the_count_absent_and_not_too_small():
    @torch.library.custom_op("softlookup_test::product", mutates_args=())
    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b

    with Ledger(CPU, nn.Module()) as ledger:
        product(torch.ones(2, 3), torch.ones(3, 2))
    assert (ledger.forward_flops, ledger.figures()["flops"]) == (None, None)


def test_categories_sum_to_the_peak():
    """At the end of the backward pass of a chain: weights, gradients, both moments of Adam, and what is left."""
    module = nn.Sequential(nn.Linear(7, 11, bias=False), nn.Tanh(), nn.Linear(11, 13, bias=False))
    optimizer, inputs = torch.optim.Adam(module.parameters()), torch.randn(1009, 7)

    def step():
        module(inputs).sum().backward()
        optimizer.step()

    found = step_cost(step, module, optimizer, CPU)
    weights = (7 * 11 + 11 * 13) * FLOAT
    assert found["peak_weights"] == weights
    assert found["peak_optimizer"] == 2 * weights + 2 * FLOAT  # and the step count of each weight
    assert found["peak_bytes"] == sum(size for name, size in found.items() if name.startswith("peak_")) / 2
    # The input of the first product, and its result, which became that of tanh; the last output has been summed up.
    assert found["peak_activations"] + found["peak_temporaries"] >= 1009 * (11 + 11) * FLOAT
