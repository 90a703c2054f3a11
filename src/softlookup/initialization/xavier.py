"""Initialize weights so that layers preserve the variance of their input."""

from torch import Tensor, nn

from softlookup.contract import Initialization, Role


class Xavier(Initialization):
    """Draw matrices uniformly within ±√(6 / (fan in + fan out)), embeddings of width D from N(0, 1/D); biases zero.

    Glorot & Bengio 2010, eq. 16. Vaswani et al. 2017 do not state their initialization; their published code uses this
    one. Each recurrent block counts as a matrix; query, key and value projections in one matrix count as one, as in
    PyTorch's attention.
    """

    def draw(self, role: Role, weight: Tensor) -> None:
        match role:
            case Role.BIAS:
                weight.zero_()
            case Role.EMBEDDING:
                weight.normal_(0.0, weight.size(-1) ** -0.5)
            case _:
                nn.init.xavier_uniform_(weight)
