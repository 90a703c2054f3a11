"""Initialize recurrent blocks orthogonally and all other weights from narrow normal distributions."""

from torch import Tensor, nn

from softlookup.contract import Initialization, Role


class Gaussian(Initialization):
    """Each recurrent block orthogonal; all other weights from N(0, 0.01²); biases zero.

    Cho et al. 2014, section 4.1; Bahdanau et al. 2014, appendix B.1, where the matrices of the alignment model are from
    N(0, 0.001²) and its vector v_a is zero, so that all real positions begin with equal weights.
    """

    def draw(self, role: Role, weight: Tensor) -> None:
        match role:
            case Role.RECURRENT:
                nn.init.orthogonal_(weight)
            case Role.BIAS | Role.ALIGNMENT_VECTOR:
                weight.zero_()
            case Role.ALIGNMENT:
                weight.normal_(0.0, 0.001)
            case _:
                weight.normal_(0.0, 0.01)
