"""The paper's claims, in its order, and what our runs say of them (how they are judged: `checks`).

"The Geometry of Projection Heads: Conditioning, Invariance, and Collapse", Faris Chaudhry, ICML 2026, arXiv 2605.17180.
Published numbers come from the author's result files, CIFAR-10 with ResNet-18 and three seeds unless said; `default` is
a small network on Fashion-MNIST, so values are compared in sign and size, not digit by digit. Where the published data
contradict the abstract the claim says so, and our data decide.
"""

from proj_heads.claims.collapse import COLLAPSE
from proj_heads.claims.hessian import HESSIAN
from proj_heads.claims.representations import REPRESENTATIONS
from proj_heads.claims.theory import THEORY
from repro_shared.claims import Claim

CLAIMS: list[Claim] = [*THEORY, *HESSIAN, *COLLAPSE, *REPRESENTATIONS]
