"""Classify every weight of a model by its role, for initialization rules."""

from collections.abc import Iterator

from torch import Tensor, nn

from softlookup.contract import Role, Score
from softlookup.model.seq2seq import Seq2Seq


def weights(model: Seq2Seq) -> Iterator[tuple[str, Role, Tensor]]:
    """Yield every weight once, with its name and role; then the recurrent blocks, which are views of some of them.

    Layer normalizations, scalars and empty weights are left out: they keep their defaults. A weight that two modules
    share has the role and the name that it has in the first.
    """
    seen: set[Tensor] = set()
    for path, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            continue
        for name, weight in module.named_parameters(path, recurse=False):
            if weight not in seen and weight.dim() > 0 and weight.numel() > 0:
                seen.add(weight)
                yield name, _role(model, path, module, weight), weight
    for name, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, block in enumerate(part.recurrent_blocks()):
            yield f"{name} block {i}", Role.RECURRENT, block


def _role(model: nn.Module, path: str, module: nn.Module, weight: Tensor) -> Role:
    if isinstance(module, nn.Embedding):
        return Role.EMBEDDING
    if weight.dim() == 1:
        return Role.BIAS
    above = [path[:i] for i, letter in enumerate(path) if letter == "."] + [path]
    if any(isinstance(model.get_submodule(each), Score) for each in above):
        return Role.ALIGNMENT_VECTOR if weight.size(0) == 1 else Role.ALIGNMENT
    return Role.MATRIX
