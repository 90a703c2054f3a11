"""Build the parts that a checked config describes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from softlookup.config.catalog import groups
from softlookup.config.components import located
from softlookup.config.run_config import Node, RunConfig
from softlookup.contract import Curriculum, Initialization, Task
from softlookup.errors import UserError
from softlookup.model.parameter_roles import weights
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe
from softlookup.search.search import Search
from softlookup.system import memory
from softlookup.system.environment import GPUS
from softlookup.system.seeds import derived_seed
from softlookup.tracking.wandb_tracker import Tracker


@dataclass(frozen=True)
class RunParts:
    """Hold everything that a run is built of, and the config that describes it. The model is on the device."""

    config: RunConfig
    task: Task
    model: Seq2Seq
    recipe: Recipe
    curriculum: Curriculum
    search: Search
    tracker: Tracker
    device: torch.device


def build_run(config: RunConfig, task: Task | None = None, device: torch.device | None = None) -> RunParts:
    """Build every part of a run once. A given `task` is used and not built again; `device` defaults to that of the
    settings.

    Raises UserError for parts that do not fit together.
    """
    if config.settings.precision == "auto":
        raise UserError("precision=auto: what it takes was not measured; set precision=float32 or bf16")
    task = task or build(config.parts["task"])
    device = device or device_of(config.settings.device)
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary)).to(device)
    search: Search = build(config.parts["search"])
    search.check(model)
    settings, parts = config.settings, config.parts
    recipe = Recipe(
        build(parts["optimizer"]),
        build(parts["schedule"]),
        settings.label_smoothing,
        settings.loss_mean,
        settings.precision,
    )
    curriculum: Curriculum = build(parts["curriculum"])(task)
    return RunParts(config, task, model, recipe, curriculum, search, build(config.tracking), device)


def build(node: Node) -> Any:
    """Return the object that a checked part of the config describes, or its factory if `_partial_` is set.

    Raises UserError with the constructor's message, and for a `_target_` outside the groups' packages.
    """
    make = located("part", node["_target_"], *groups())
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    arguments = {key: build(value) if isinstance(value, dict) else value for key, value in given.items()}
    return partial(make, **arguments) if node.get("_partial_") else make(**arguments)


def _seeded(factory: Callable[..., Any], seed: int, purpose: str) -> Callable[..., Any]:
    """Return the factory with its own random seed: what it draws does not depend on what was built before."""
    calls = 0

    def make(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, f"{purpose} {calls}"))
            return factory(*arguments)

    return make


def build_model(config: RunConfig, source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """Build the model of a config. For one seed, parts have the same initial weights wherever their shapes agree, under
    every initialization.

    Raises UserError for parts that do not fit together.
    """
    memory.keep_freed()
    seed = config.settings.seed
    attention = _seeded(build(config.parts["attention"]), seed, "attention")
    encoder = _seeded(build(config.parts["encoder"]), seed, "encoder")
    make_decoder = build(config.parts["decoder"])
    decoder = _seeded(lambda *widths: make_decoder(*widths, attention), seed, "decoder")
    torch.manual_seed(derived_seed(seed, "output"))
    model = Seq2Seq(encoder, decoder, source_vocabulary, target_vocabulary)
    initialize(model, build(config.parts["initialization"]), seed)
    return _tied(model, config.settings.tying)


def model_of_shapes(config: RunConfig, source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """Build the model of a config on torch's meta device: all shapes and no weights, in milliseconds.

    Raises UserError for parts that do not fit together.
    """
    attention, make_decoder = build(config.parts["attention"]), build(config.parts["decoder"])
    with torch.device("meta"):
        model = Seq2Seq(
            build(config.parts["encoder"]),
            lambda *widths: make_decoder(*widths, attention),
            source_vocabulary,
            target_vocabulary,
        )
        return _tied(model, config.settings.tying)


def _tied(model: Seq2Seq, tying: str) -> Seq2Seq:
    if tying != "none":
        _tie(model, source=tying == "all")
    return model


def _tie(model: Seq2Seq, source: bool) -> None:
    """Share one matrix between the target embedding and the output layer, and with `source` the source embedding too.

    Vaswani et al. 2017, section 3.4 (Press & Wolf 2017).
    """
    shared = model.decoder.embedding.weight
    others = {"the output layer": model.output.weight}
    if source:
        others["the source embedding"] = model.encoder.embedding.weight
    for name, weight in others.items():
        if weight.shape != shared.shape:
            raise UserError(
                f"tying: {name} is {tuple(weight.shape)} and the target embedding {tuple(shared.shape)} (vocabulary by "
                "width); give both one width (a readout as wide as the embedding) and, for tying=all, both languages "
                "one vocabulary, or take tying=none"
            )
    model.output.weight = shared
    if source:
        model.encoder.embedding.weight = shared


@torch.no_grad()
def initialize(model: Seq2Seq, rule: Initialization, seed: int) -> None:
    """Initialize the weights of a model, each with its own random seed. Embeddings of padding stay zero."""
    with torch.random.fork_rng(devices=[]):
        for name, role, weight in weights(model):
            torch.manual_seed(derived_seed(seed, f"initialization {name}"))
            rule.draw(role, weight)
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx] = 0.0


def gpus(device: str) -> list[str]:
    """Return the GPUs that runs with this `device=` may use, as in CUDA_VISIBLE_DEVICES; none for cpu."""
    count = 0 if device == "cpu" else torch.cuda.device_count()
    given = os.environ.get(GPUS)
    return [name.strip() for name in given.split(",")][:count] if given else [str(number) for number in range(count)]


def device_of(wanted: str) -> torch.device:
    """Return the device that `device=` names, with its arithmetic set; auto selects CUDA if it is available.

    float32 means float32: by default, torch lets cuDNN round the factors of recurrent layers to the 10 bits of TF32. On
    CUDA only operations with a fixed order of summation are allowed, since a resumed run must give the same bits;
    cuBLAS reads its part of this from the environment. Raises UserError for CUDA without a device.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch finds no CUDA device here; take device=cpu or auto")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_deterministic_debug_mode("error" if wanted == "cuda" else "default")
    if wanted == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Nothing reads memory before it writes it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device(wanted)
