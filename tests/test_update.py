"""The training step: loss, rate and clipping; the probe measures the same step as training."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from choices import DECODER, ENCODER, OFFERED, attention_node, build_seq2seq, encoder_for, node, readers, variants
from hydra.core.hydra_config import HydraConfig
from torch.utils._python_dispatch import TorchDispatchMode
from toy import Toy

from softlookup.config.build import build, build_run
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.contract import Batch
from softlookup.data.collate import collate
from softlookup.evaluation.ledger import Ledger
from softlookup.model import loss
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe, update
from softlookup.optimizer.adam import Adam
from softlookup.optimizer.sgd import Sgd
from softlookup.schedule.constant import Constant
from softlookup.schedule.linear import Linear
from softlookup.timing.probe import fixed_batch, probe
from softlookup.training.module import Training

ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
WARM = Linear(warmup=0.2, final=0.1)
PLAN = Recipe(Sgd(rate=0.01, clip=None), Constant())


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def model() -> Seq2Seq:
    encoder = build(node("encoder", "gru", **ENCODER))
    decoder, attention = (
        build(node("decoder", "bahdanau", **DECODER)),
        build(attention_node("additive", "softmax", None)),
    )
    size = len(Toy.source_vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return Seq2Seq(encoder, lambda *widths: decoder(*widths, attention), size, size)


def batch_of(*lengths: int) -> Batch:
    generator = np.random.default_rng(3)
    return collate([Toy().draw(generator, length) for length in lengths])


def gradients(network: Seq2Seq, plan: Recipe, *batches: Batch) -> dict[str, torch.Tensor]:
    """Return the gradients after a step."""
    update(network, plan.optimizer.build(network.parameters()), plan, batches, 997)
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_the_loss_is_the_mean_over_unpadded_targets() -> None:
    network, batch = model(), collate(Toy().validation())
    each = []
    with torch.no_grad():
        for b, example in enumerate(batch.examples):
            logits = network(collate([example]))
            each += [
                -logits[t].log_softmax(-1)[token] for t, token in enumerate(batch.target[b, : len(logits)].tolist())
            ]
    found = update(network, PLAN.optimizer.build(network.parameters()), PLAN, [batch], 997)
    assert found.loss == pytest.approx(torch.stack(each).mean().item(), abs=1e-5)
    assert (found.tokens, found.padding) == (len(each), batch.target.numel() - len(each))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_smoothed_as_the_plan_says(smoothing: float) -> None:
    network, batch = model(), collate(Toy().validation())
    with torch.no_grad():
        logits = network(batch)
        log_p = logits.double().log_softmax(-1)
        log_p_of_targets = log_p[torch.arange(len(logits)), batch.target[batch.target_mask]]
    # The target distribution is (1 − ε) δ + ε/V.
    expected = -((1 - smoothing) * log_p_of_targets + smoothing * log_p.mean(-1)).mean()
    plan = Recipe(PLAN.optimizer, PLAN.schedule, smoothing)
    found = update(network, plan.optimizer.build(network.parameters()), plan, [batch], 997)
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [2, 5, 64])
def test_loss_and_gradients_by_chunk_are_those_of_the_plain_formula(
    smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float64; 11 of 21 positions count. Chunks that divide their number or not, or hold all of them."""
    monkeypatch.setattr(loss, "LEAST", chunk)
    monkeypatch.setattr(loss, "LOGITS", 1)
    generator = torch.Generator().manual_seed(3)
    readout, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((3, 7, 5), (13, 5), (13,))
    )
    places = torch.randperm(21, generator=generator)[:11].sort().values
    target = torch.randint(13, (11,), generator=generator)
    logits = torch.nn.functional.linear(readout.flatten(0, 1)[places], weight, bias)
    log_p = logits.log_softmax(1)
    plain = -0.7 * ((1 - smoothing) * log_p[torch.arange(11), target] + smoothing * log_p.mean(1)).sum()
    found = loss.scaled_loss(readout, weight, bias, places, target, smoothing, 0.7)
    assert torch.allclose(found, plain, rtol=1e-12)
    inputs = readout, weight, bias
    expected = torch.autograd.grad(plain, inputs)
    for further in (1, 3):  # applied to the loss afterwards
        gradients = torch.autograd.grad(further * found, inputs, retain_graph=True)
        for ours, theirs in zip(gradients, expected, strict=True):
            assert torch.allclose(ours, further * theirs, rtol=0, atol=1e-12)


def test_the_peak_of_the_loss_does_not_grow_with_vocabulary_times_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond weights, readouts and gradients, twice the positions or the vocabulary needs less than 1 MB more;
    the logits alone would need 10 MB more."""
    monkeypatch.setattr(loss, "LEAST", 2)
    monkeypatch.setattr(loss, "LOGITS", 2**16)

    def extra(positions: int, vocabulary: int) -> int:
        output = torch.nn.Linear(7, vocabulary)
        readout = torch.zeros(1, positions, 7, requires_grad=True)
        places = torch.arange(positions)
        with Ledger(torch.device("cpu"), output) as ledger:
            loss.scaled_loss(readout, output.weight, output.bias, places, torch.zeros_like(places), 0.0, 1.0).backward()
        peak = ledger.figures()["peak_bytes"]
        assert peak is not None
        return peak - 2 * 4 * (8 * vocabulary + 7 * positions)

    least = extra(997, 2503)
    assert abs(extra(1994, 2503) - least) < 1e6
    assert abs(extra(997, 5006) - least) < 1e6


def test_the_gradient_per_sentence_is_that_per_token_times_tokens_per_sentence() -> None:
    batch = batch_of(2, 3, 5, 7, 13)
    per_token, per_sentence = (
        gradients(model(), Recipe(PLAN.optimizer, PLAN.schedule, 0.1, mean), batch) for mean in ("token", "sentence")
    )
    scale = (2 + 3 + 5 + 7 + 13 + 5) / 5  # EOS counts
    for name, ours in per_token.items():
        assert torch.allclose(per_sentence[name], ours * scale, rtol=1e-4, atol=1e-7), name


def test_rate_and_clipping_follow_the_spent_budget() -> None:
    plan = Recipe(Adam(rate=0.01, clip=0.05, **ADAM), WARM)
    network, batch = model(), batch_of(2, 3, 5)
    optimizer = plan.optimizer.build(network.parameters())
    update(network, optimizer, plan, [batch], 997, seen=598)
    norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(0.05, abs=1e-4)
    expected = 0.01 * WARM.factor((598 + 2 + 3 + 5 + 3) / 997, 1)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(expected)]


def test_a_loss_that_is_not_finite_raises_an_error_and_changes_no_weight() -> None:
    network = model()
    with torch.no_grad():
        network.output.bias[5] = float("nan")
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 11; a smaller optimizer\.rate may help"):
        update(network, PLAN.optimizer.build(network.parameters()), PLAN, [batch_of(2, 3)], 997, step=11)
    assert all(
        torch.equal(value, before[name]) or name == "output.bias" for name, value in network.state_dict().items()
    )


def test_a_step_in_bf16_keeps_weights_gradients_and_the_optimizer_in_float32_and_is_near_that_in_float32() -> None:
    plans = [
        Recipe(Adam(rate=0.01, clip=None, **ADAM), Constant(), 0.1, precision=each) for each in ("float32", "bf16")
    ]
    found, batch = [], batch_of(2, 3, 5, 7)
    for plan in plans:
        network = model()
        optimizer = plan.optimizer.build(network.parameters())
        loss = update(network, optimizer, plan, [batch], 997).loss
        kept = [tensor for p in network.parameters() for tensor in (p, p.grad, *optimizer.state[p].values())]
        assert {tensor.dtype for tensor in kept} == {torch.float32}
        found.append((loss, torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])))
    (plain, exact), (rounded, near) = found
    assert rounded == pytest.approx(plain, rel=0.01)
    assert torch.nn.functional.cosine_similarity(exact, near, 0) > 0.995
    assert not torch.equal(exact, near)


class _NoWaits(TorchDispatchMode):
    """Raise an error for a copy between devices for which the processor waits."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and found.device != args[0].device:
            assert (kwargs or {}).get("non_blocking"), f"a copy from {args[0].device} to {found.device}"
        elif func is torch.ops.aten.copy_.default and args[0].device != args[1].device:
            assert args[2:] == (True,), f"a copy from {args[1].device} to {args[0].device}"
        return found


def on_a_device() -> list[tuple[str, tuple[str, dict[str, Any]], str, int | None, str]]:
    found = [(encoder, ("bahdanau", {}), "additive", None, "global") for encoder in OFFERED["encoder"]]
    found += [(encoder_for(decoder), decoder, "general", None, "global") for decoder in variants("decoder")]
    return found + [("bag", ("luong", {}), *reader) for reader in readers()]


def test_a_step_does_not_wait_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the meta device have no data: reading a number, selecting by a mask or copying to the processor, for
    which it would wait for a GPU, raises an error."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # does not know the device
    meta = torch.device("meta")
    generator = np.random.default_rng(3)
    moved = collate([Toy().draw(generator, length) for length in (1, 2)]).to(meta)
    plan, compared = Recipe(Sgd(rate=0.01, clip=0.5), Constant(), 0.1), 0
    for parts in on_a_device():
        network = build_seq2seq(*parts)
        if network is None:
            continue
        network = network.to(meta).train()
        with _NoWaits():
            found = update(network, plan.optimizer.build(network.parameters()), plan, [moved], 997)
        assert isinstance(found.loss, torch.Tensor)
        assert found.loss.device == meta
        compared += 1
    assert compared > 20
    with pytest.raises((RuntimeError, AssertionError)), _NoWaits():
        moved.target[moved.target_mask]
    with pytest.raises(AssertionError, match="a copy from cpu to meta"), _NoWaits():
        torch.ones(2).to(meta)


def config(*typed: str) -> RunConfig:
    return composed(["task.longest=6", "encoder.width=7", "decoder.width=14", "attention.score.width=5", *typed])


def test_the_probe_measures_the_same_step_as_training() -> None:
    """With clipping, smoothing, mean per sentence and schedule, the weights are equal bit for bit."""
    resolved = config("loss_mean=sentence", "label_smoothing=0.1", "optimizer.clip=0.01", "budget=5003", "device=cpu")
    parts = build_run(resolved)
    trained = copy.deepcopy(parts.model)
    probe(parts, parts.model).step()
    training = Training(trained, parts.recipe, parts.curriculum, resolved.settings.budget, lambda _: None)
    training._backward = lambda loss, _: loss.backward()
    training.configure_optimizers()
    training.training_step([fixed_batch(parts.task)], 0)
    for ours, theirs in zip(parts.model.parameters(), trained.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_probe_leaves_out_validation_sentences_longer_than_training(tmp_path: Path) -> None:
    """Sides of 600 words next to 40 pairs of 3 to 42 words: the batch has the longest 32 of those."""
    words = [f"{'ein ' * n}Hund" for n in range(2, 42)]
    for split in ("train", "val", "test_2016_flickr"):
        long = [("ein " * 600, "a"), ("ein", "a " * 600)] if split == "val" else []
        pairs = [*((line, "a dog") for line in words), *long]
        for side, language in enumerate(("de", "en")):
            (tmp_path / f"{split}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    resolved = config("task=multi30k", "task.longest=50", f"task.path={tmp_path}")
    batch = fixed_batch(build(resolved.parts["task"]))
    assert sorted(len(example.source) for example in batch.examples) == list(range(11, 43))
    assert batch.target.size(1) == 3


@pytest.mark.parametrize("loss_mean", ["token", "sentence"])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_batches_equal_one_large_batch(loss_mean: str, clip: float | None) -> None:
    """Batches have unequal numbers of sentences and tokens; gradients and weights agree to 1e-6."""
    plan = Recipe(Sgd(rate=0.5, clip=clip), WARM, 0.1, loss_mean)
    parts = [batch_of(2, 3), batch_of(13), batch_of(5, 7, 7, 11)]
    together, separate = model(), model()
    joined = collate([example for part in parts for example in part.examples])
    ours, theirs = gradients(together, plan, joined), gradients(separate, plan, *parts)
    assert any(gradient.abs().max() > 1e-3 for gradient in ours.values())
    for name, gradient in ours.items():
        assert torch.allclose(gradient, theirs[name], rtol=0, atol=1e-6), name
    for name, weight in together.state_dict().items():
        assert torch.allclose(weight, separate.state_dict()[name], rtol=0, atol=1e-6), name
