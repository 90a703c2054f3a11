"""Measure what `match` compares: the parameters, operations or state of a config's model."""

import warnings

import torch
import torch.nn.functional as F

from softlookup.config.build import build_model, model_of_shapes
from softlookup.config.run_config import RunConfig
from softlookup.contract import Annotations, Batch
from softlookup.errors import UserError
from softlookup.evaluation.cost import parameters
from softlookup.evaluation.ledger import Ledger
from softlookup.model.seq2seq import Seq2Seq
from softlookup.text.vocabulary import BOS, EOS, UNK


def price(config: RunConfig, kind: str, length: int | None, vocabularies: tuple[int, int]) -> int:
    """Return what a model costs, without training it.

    `parameters`: trainable weights. `flops`: operations of the forward and backward pass over one sentence of `length`
    source and as many target tokens. `state`: bytes of what a decoding step can read of one source of `length` tokens.
    Raises UserError for parts that do not fit together, and for operators whose operations cannot be counted.
    """
    if kind == "flops":
        assert length is not None
        return _flops(build_model(config, *vocabularies), length)
    model = model_of_shapes(config, *vocabularies)
    if kind == "parameters":
        return parameters(model)
    assert length is not None
    return _state(model, length)


def sentence(length: int) -> Batch:
    """Return a batch of one sentence with `length` source and as many target tokens, EOS included."""
    ids = torch.full((1, length), UNK)
    source, inputs = ids.clone(), ids.clone()
    source[0, -1], inputs[0, 0] = EOS, BOS
    real = torch.ones_like(ids, dtype=torch.bool)
    return Batch(source, real, inputs, source, real, (), torch.arange(length), torch.tensor([length]))


def _flops(model: Seq2Seq, length: int) -> int:
    # The recurrent layer of oneDNN is one operator without a formula; without it, the layer is products of matrices.
    # At every change of its flag, oneDNN warns of hardware that is not there.
    batch = sentence(length)
    with (
        warnings.catch_warnings(action="ignore"),
        torch.backends.mkldnn.flags(enabled=False),
        Ledger(torch.device("cpu"), model) as ledger,
    ):
        F.cross_entropy(model(batch), batch.target.flatten()).backward()
    counted = ledger.figures()["flops"]
    if counted is None:
        raise UserError("match=flops: the model has operators without a formula; use match=parameters")
    return counted


@torch.no_grad()
def _state(model: Seq2Seq, length: int) -> int:
    with torch.device("meta"):
        annotations = Annotations(
            torch.empty(1, length, model.encoder.width),
            torch.ones(1, length, dtype=torch.bool),
            torch.empty(1, model.encoder.final_width),
        )
        memory, _ = model.decoder.prepare(annotations)
    return memory.bytes
