"""The paper's claims, in its order, and what our runs say of them (how they are judged: `checks`).

"Implicit Statistical Inference in Transformers: Approximating Likelihood-Ratio Tests In-Context", Faris Chaudhry and
Siddhant Gadkari, LIT workshop at ICLR 2026, arXiv 2603.10573. Published numbers come from the authors' result files and
figures: three seeds of 15,620 steps unless said. Two yardsticks stand beside every performance: the oracle, which knows
the parameters, and the exact Bayes predictive, the best that any rule can do with the context alone.
"""

from icl_lrt.claims.ablations import DEPTH, NEEDS
from icl_lrt.claims.mechanism import MECHANISM
from icl_lrt.claims.performance import KERNELS, RATIO
from icl_lrt.claims.shifts import SHIFTS
from repro_shared.claims import Claim

CLAIMS: list[Claim] = [*RATIO, *SHIFTS, *KERNELS, *MECHANISM, *DEPTH, *NEEDS]
