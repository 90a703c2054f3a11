"""Build the parts that a checked config describes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from softlookup.config.resolve import build
from softlookup.contract import Initialization
from softlookup.errors import UserError
from softlookup.model.parameter_roles import weights
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe
from softlookup.system.seeds import derived_seed


def _seeded(factory: Callable[..., Any], seed: int, purpose: str) -> Callable[..., Any]:
    """Return the factory with random numbers of its own: what it draws depends on nothing that was built before it."""
    calls = 0

    def make(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, f"{purpose} {calls}"))
            return factory(*arguments)

    return make


def build_model(config: dict[str, Any], source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """Return the model of a config. For one seed, parts have the same first weights wherever their shapes agree,
    whatever rule they are drawn by.

    Raises UserError for parts that do not fit together.
    """
    seed = config["seed"]
    attention = _seeded(build(config["attention"]), seed, "attention")
    encoder = _seeded(build(config["encoder"]), seed, "encoder")
    make_decoder = build(config["decoder"])
    decoder = _seeded(lambda *widths: make_decoder(*widths, attention), seed, "decoder")
    torch.manual_seed(derived_seed(seed, "output"))
    model = Seq2Seq(encoder, decoder, source_vocabulary, target_vocabulary)
    initialize(model, build(config["initialization"]), seed)
    if config["tying"] != "none":
        _tie(model, source=config["tying"] == "all")
    return model


def recipe_of(config: dict[str, Any]) -> Recipe:
    """Build what a training step needs besides the model: optimizer, schedule, smoothing and mean of the loss."""
    return Recipe(build(config["optimizer"]), build(config["schedule"]), config["label_smoothing"], config["loss_mean"])


def _tie(model: Seq2Seq, source: bool) -> None:
    """One matrix for the target embedding and the output layer, and with `source` for the source embedding too.

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
    """Draw the first weights of a model anew, each with random numbers of its own. Embeddings of padding stay zero."""
    with torch.random.fork_rng(devices=[]):
        for name, role, weight in weights(model):
            torch.manual_seed(derived_seed(seed, f"initialization {name}"))
            rule.draw(role, weight)
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx] = 0.0


def device_of(config: dict[str, Any]) -> torch.device:
    """Return the device that `device=` asks for; auto takes CUDA where there is one. Raises UserError for CUDA without
    one."""
    wanted = config["device"]
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch finds no CUDA device here; take device=cpu or auto")
    return torch.device(wanted)
