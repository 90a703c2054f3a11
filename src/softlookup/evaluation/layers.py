"""Read the weights of every layer and head of a model, for the examples that are drawn."""

import numpy as np
import torch
from torch import Tensor, nn

from softlookup.contract import Example, History, SequenceMixer
from softlookup.data.collate import collate
from softlookup.model.seq2seq import Seq2Seq


@torch.no_grad()
def weights_of(model: Seq2Seq, source: tuple[int, ...], target: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the weights with which a model reads a source and a target, both ids without EOS; T and S count it.

    `lookups` (layers, H, T, S) of the decoder into the source; `encoder` (layers, H, S, S) and `decoder`
    (layers, H, T, T) of mixers that have weights. What a model does not have is absent. Puts the model into
    evaluation mode.
    """
    model.eval()
    batch = collate([Example(source, target)]).to(model.output.weight.device)
    mixed: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
    handles = []
    for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        for module in part.modules():
            if isinstance(module, SequenceMixer):

                def keep(
                    mixer: nn.Module, given: tuple[Tensor, Tensor, History | None], to: list[Tensor] = mixed[side]
                ) -> None:
                    assert isinstance(mixer, SequenceMixer)
                    weights = mixer.weights(*given)
                    if weights is not None:
                        to.append(weights)

                handles.append(module.register_forward_pre_hook(keep))
    try:
        found = {"lookups": list(model.teach(batch, weights=True).lookups), **mixed}
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(layers).float().cpu().numpy() for name, layers in found.items() if layers}
