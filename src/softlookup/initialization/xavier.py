"""Numbers that keep the variance of what passes through."""

from torch import Tensor, nn

from softlookup.contract import Initialization, Role


class Xavier(Initialization):
    """Matrices uniformly within ±√(6 / (fan in + fan out)), embeddings of width D from N(0, 1/D), biases zero.

    Glorot & Bengio 2010, eq. 16. Vaswani et al. 2017 do not say how they begin; their published code does so. Recurrent
    blocks are matrices of their own; projections of query, key and value that one matrix holds count as that one, as in
    PyTorch's own attention.
    """

    def draw(self, role: Role, weight: Tensor) -> None:
        match role:
            case Role.BIAS:
                weight.zero_()
            case Role.EMBEDDING:
                weight.normal_(0.0, weight.size(-1) ** -0.5)
            case _:
                nn.init.xavier_uniform_(weight)
