"""A CUDA device computes what the CPU computes: every encoder with every decoder and attention, mixers, searches; the
same bits again after a resume.

`make gpu` runs these. TEST_DEVICE=cpu rehearses them without a GPU: the CPU then stands in for the device.
"""

import copy
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

DEVICE = torch.device(os.environ.get("TEST_DEVICE", "cuda"))
if DEVICE.type == "cuda" and not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

import torch.nn.functional as F
from choices import DECODER, ENCODER, OFFERED, SOURCES, TARGETS, attention_node, attentions, node, readers, variants
from hydra.core.hydra_config import HydraConfig
from test_resume import TINY, attempt, outcome
from torch import Tensor, nn

from softlookup.config.build import build, build_run, device_of
from softlookup.config.resolve import composed
from softlookup.contract import Batch, Example
from softlookup.data.collate import collate
from softlookup.errors import Stopped, UserError
from softlookup.fused import additive
from softlookup.layers.dropout import Drop
from softlookup.model.seq2seq import Seq2Seq
from softlookup.run import execute
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_state import state_of
from softlookup.system.signals import Stop
from softlookup.timing.gpu.kernel import tiles
from softlookup.timing.gpu.models import MODELS, built
from softlookup.training.fit import Fit

CPU = torch.device("cpu")
LOGITS, GRADIENTS = 1e-4, 1e-3
# A gradient is compared with the largest of its parameter; one far below the others is rounding noise.
NOISE = 1e-2
Node = dict[str, Any]
Record = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def _arithmetic_of_a_run() -> Iterator[None]:
    torch.set_num_threads(1)
    device_of(DEVICE.type)
    yield
    HydraConfig.instance().cfg = None
    torch.set_deterministic_debug_mode("default")


def batch() -> Batch:
    """Return four pairs of different lengths."""
    generator = torch.Generator().manual_seed(3)

    def ids(count: int, vocabulary: int) -> tuple[int, ...]:
        return tuple(torch.randint(4, vocabulary, (count,), generator=generator).tolist())

    return collate([Example(ids(s, SOURCES), ids(t, TARGETS)) for s, t in ((6, 5), (4, 7), (1, 2), (3, 3))])


def assembled(encoder: str | Node, decoder: str | Node, read: Node, **changed: Any) -> Seq2Seq | None:
    """Build a model with two layers where it has layers; None for parts that do not fit, as in choices.py."""
    torch.manual_seed(11)
    if isinstance(encoder, str):
        encoder = node("encoder", encoder, **ENCODER, layers=2)
    encode = build(encoder)(SOURCES)
    for width in (DECODER["width"], encode.width):
        part = (
            node("decoder", decoder, **DECODER | changed | {"width": width, "layers": 2})
            if isinstance(decoder, str)
            else decoder
        )
        with suppress(UserError):
            write = build(part)(TARGETS, encode.width, encode.final_width, build(read))
            return Seq2Seq(lambda _: encode, lambda *_, write=write: write, SOURCES, TARGETS)
    return None


def undropped(model: Seq2Seq) -> Seq2Seq:
    """Return the model in training mode, which cuDNN needs for gradients, without dropout."""
    for module in model.modules():
        if isinstance(module, Drop):
            module.share = 0.0
        elif isinstance(module, nn.RNNBase):
            module.dropout = 0.0
    return model.train()


def computed(model: Seq2Seq, given: Batch) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
    """Return logits, weights and the gradients of the loss, on the CPU."""
    decoded = model.teach(given, weights=True)
    logits, weights = model(given), decoded.weights
    F.cross_entropy(logits, given.target[given.target_mask]).backward()
    gradients = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach().cpu(), None if weights is None else weights.detach().cpu(), gradients


def errors(model: Seq2Seq, given: Batch) -> dict[str, float]:
    """Return the greatest difference between the CPU and the device, of the logits, of the weights, and of the
    gradients relative to the largest of each parameter."""
    twin = copy.deepcopy(undropped(model)).to(DEVICE)
    logits, weights, gradients = computed(model, given)
    theirs, their_weights, their_gradients = computed(twin, given.to(DEVICE))
    found = {"worst logits": (logits - theirs).abs().max().item()}
    assert (weights is None) == (their_weights is None)
    if weights is not None and their_weights is not None:
        found["worst weights"] = (weights - their_weights).abs().max().item()
    assert gradients.keys() == their_gradients.keys()
    largest = {name: gradient.abs().max().item() for name, gradient in gradients.items() if gradient.numel()}
    floor = NOISE * max(largest.values())
    found["worst gradients"] = max(
        (gradients[name] - their_gradients[name]).abs().max().item() / max(size, floor)
        for name, size in largest.items()
    )
    return found


def check(models: dict[str, Seq2Seq | None], record: Record) -> None:
    """Compare models with their twins on the device; all are compared, whichever fail."""
    given, wrong = batch(), []
    worst: dict[str, float] = {}
    compared = 0
    for name, model in models.items():
        if model is None:
            continue
        compared += 1
        try:
            found = errors(model, given)
        except (RuntimeError, AssertionError) as error:
            wrong.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        bounds = {kind: GRADIENTS if kind == "worst gradients" else LOGITS for kind in found}
        if not all(found[kind] <= bounds[kind] for kind in found):
            wrong.append(f"{name}: {found}")
        for kind, value in found.items():
            worst[kind] = max(worst.get(kind, 0.0), value)
    record("combinations", compared)
    for kind, value in worst.items():
        if math.isfinite(value):
            record(kind, value)
    assert compared
    assert not wrong, f"{len(wrong)} of {compared}: " + "; ".join(wrong)


@pytest.mark.parametrize("encoder", OFFERED["encoder"])
@pytest.mark.parametrize("variant", variants("decoder"), ids=lambda variant: "-".join([variant[0], *variant[1]]))
def test_every_attention(encoder: str, variant: tuple[str, dict[str, Any]], record_property: Record) -> None:
    models = {
        f"{attention} heads={heads} window={window}": assembled(
            encoder, variant[0], attention_node(attention, "softmax", heads, window), **variant[1]
        )
        for attention, heads, window in readers()
    }
    if not any(models.values()):
        pytest.skip("this encoder and decoder do not fit together")
    check(models, record_property)


@pytest.mark.parametrize(("encoder", "decoder"), [("gru", "bahdanau"), ("transformer", "transformer")])
def test_every_normalizer(encoder: str, decoder: str, record_property: Record) -> None:
    others = [each for each in attentions() if each[1] != "softmax"]
    check(
        {" ".join(map(str, each)): assembled(encoder, decoder, attention_node(*each)) for each in others},
        record_property,
    )


@pytest.mark.parametrize("mixer", OFFERED["mixer"])
def test_every_mixer(mixer: str, record_property: Record) -> None:
    models = {}
    for normalizer in OFFERED["normalizer"]:
        mixed = node("mixer", mixer, normalizer=node("normalizer", normalizer), heads=2)
        sizes = {"width": 14, "feed_forward": 11, "layers": 2, "mixer": mixed}
        parts = (node("encoder", "transformer", **sizes), node("decoder", "transformer", **sizes))
        models[normalizer] = assembled(*parts, attention_node("scaled_dot", "softmax", 2))
    check(models, record_property)


READERS = {
    "additive": ("gru", "bahdanau", ("additive", "softmax", None)),
    "local": ("stacked", "luong2015", ("general", "sparsemax", None, "local_p")),
    "transformer": ("transformer", "transformer", ("scaled_dot", "softmax", 2)),
    "fixed": ("lstm", "luong", ("fixed_mean", "softmax", None)),
}


@pytest.mark.parametrize("search", ["greedy", "beam"])
@pytest.mark.parametrize("model", READERS)
def test_searches_find_the_same_hypotheses(search: str, model: str) -> None:
    encoder, decoder, read = READERS[model]
    found = assembled(encoder, decoder, attention_node(*read))
    assert found is not None
    with torch.no_grad():
        found.output.weight.mul_(7)  # no two words are nearly as probable
    decode = build(
        node("search", search, length_penalty=0.6, n_best=2, coverage_penalty=0.0 if model == "fixed" else 0.2)
    )
    given = batch()
    ours = decode(found.eval(), given.source, given.source_mask)
    theirs = decode(copy.deepcopy(found).to(DEVICE), given.source.to(DEVICE), given.source_mask.to(DEVICE))
    assert [[h.ids for h in row] for row in theirs] == [[h.ids for h in row] for row in ours]
    for our, their in zip(chain(*ours), chain(*theirs), strict=True):
        assert their.score == pytest.approx(our.score, abs=LOGITS)
        assert (our.weights is None) == (their.weights is None)
        assert our.weights is None or abs(our.weights - their.weights).max() < LOGITS


@pytest.mark.parametrize(
    "shape", [(3, 2, 13, 37, 19, 23), (2, 1, 101, 67, 128, 256), (1, 1, 7, 1, 1, 1), (5, 1, 1, 31, 5, 3)]
)
def test_lean_additive_attention_is_that_of_tiles_in_torch(shape: tuple[int, ...], record_property: Record) -> None:
    """With windows, padding and rows without a real position; in Triton on a GPU. The same bits twice."""
    batch, heads, steps, length, width, read = shape
    torch.manual_seed(3)
    sizes = ((batch, heads, steps, width), (batch, heads, length, width), (heads, width), (batch, heads, length, read))
    mask = torch.rand(batch, 1, steps, length) > 0.3
    mask[0], mask[-1, ..., length // 2 :] = True, False
    given = [torch.randn(size, device=DEVICE, requires_grad=True) for size in sizes]
    found = [way(*given, mask.to(DEVICE)) for way in (additive.attend, tiles)]
    gradient = torch.randn_like(found[0])
    results = [(context, *torch.autograd.grad(context, given, gradient)) for context in found]
    again = additive.attend(*given, mask.to(DEVICE))
    assert all(map(torch.equal, results[0], (again, *torch.autograd.grad(again, given, gradient))))
    worst = max(
        ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1)).item()
        for ours, theirs in zip(*results, strict=True)
    )
    record_property("worst lean attention", worst)
    assert worst < LOGITS
    assert additive.compiled(torch.float32, DEVICE)


def test_float32_is_not_rounded_to_tf32() -> None:
    """The error of a recurrent layer and of a product is that of float32, near 1e-7 of values of size one, not 1e-3."""
    torch.manual_seed(5)
    assert device_of("auto").type == DEVICE.type or DEVICE == CPU
    layer, given = nn.GRU(256, 256, batch_first=True), torch.randn(17, 13, 256)
    with torch.no_grad():
        expected, _ = copy.deepcopy(layer).double()(given.double())
        found, _ = layer.to(DEVICE)(given.to(DEVICE))
        product = given.to(DEVICE) @ layer.weight_hh_l0.T
        plain = given.double() @ layer.weight_hh_l0.cpu().double().T
    assert (found.cpu() - expected).abs().max() < 1e-5
    assert (product.cpu() - plain).abs().max() < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_the_same_steps_give_the_same_bits(name: str) -> None:
    """Twice three steps from the same weights, at the sizes that `make gpu` times."""
    results = []
    for _ in range(2):
        torch.manual_seed(13)
        parts, made = built(name, DEVICE.type, small=DEVICE == CPU)
        for _ in range(3):
            made.step()
        results.append({name: value.cpu() for name, value in parts.model.state_dict().items()})
        HydraConfig.instance().cfg = None
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


RESUMED = {
    "additive keep=best": [],
    "averaged small": ["keep=last", "watch=loss", "average=3"],
    "transformer": ["encoder=transformer", "decoder=transformer", "attention=scaled_dot", "attention.heads=2",
                    "encoder.width=14", "mixer.heads=2"],
}  # fmt: skip


def written(folder: RunFolder) -> dict[str, Any]:
    """Return what a run writes, without the peak of the allocator, which counts what other tests left on the device."""
    found = outcome(folder)
    found["cost"].pop("cost/cuda_max_memory_allocated", None)
    return found


@pytest.mark.parametrize("changes", RESUMED)
def test_a_resumed_run_gives_the_same_bits(changes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [*TINY, f"device={DEVICE.type}", *RESUMED[changes], "checkpoint_seconds=1000"]
    if changes == "transformer":
        typed = [each for each in typed if not each.startswith(("attention.score", "encoder.width=7"))]
    last = {each.partition("=")[0]: each for each in typed}
    undisturbed = written(attempt(composed([*last.values(), f"runs_dir={tmp_path / 'whole'}"]), monkeypatch))
    resolved = composed([*last.values(), f"runs_dir={tmp_path / 'stopped'}"])

    def stop(fit: Fit, number: int) -> None:
        if number == 11:
            fit.stop.number = 15

    stops = 0
    while True:
        try:
            folder = attempt(resolved, monkeypatch, stop)
            break
        except Stopped:
            stops += 1
    assert stops >= 2
    assert written(folder) == undisturbed


@pytest.mark.skipif(DEVICE == CPU, reason="needs a CUDA device")
def test_a_run_that_is_too_large_is_out_of_memory(tmp_path: Path) -> None:
    resolved = composed([*MODELS["RNNsearch"], "task=reverse", "device=cuda", "tracking=disabled", "batch_tokens=1e6",
                         "encoder.width=2048", "budget=1e6", f"runs_dir={tmp_path}"])  # fmt: skip
    folder = RunFolder.of(resolved)
    folder.begin(resolved)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.005)
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError) as raised:
            execute(resolved, folder, Stop())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert state_of(raised.value)[0] == "out_of_memory"


@pytest.mark.skipif(DEVICE == CPU, reason="needs a CUDA device")
def test_more_processes_than_devices_are_refused(tmp_path: Path) -> None:
    count = torch.cuda.device_count() + 1
    resolved = composed(["device=cuda", f"processes={count}", "tracking=disabled", f"runs_dir={tmp_path}"])
    with pytest.raises(UserError, match=f"processes={count}: each process needs a CUDA device"):
        execute(resolved, RunFolder.of(resolved), Stop())


def test_auto_selects_cuda_where_it_is() -> None:
    parts = build_run(composed(["device=auto", "tracking=disabled"]))
    assert parts.model.output.weight.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
