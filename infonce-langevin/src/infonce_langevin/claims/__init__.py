"""The paper's claims, in its order, and what our runs say of them (how they are judged: `checks`).

"Asymptotic and Finite-Time Guarantees for Langevin-Based Temperature Annealing in InfoNCE", Faris Chaudhry,
Optimization
for Machine Learning workshop at NeurIPS 2025, arXiv 2603.12552. Its abstract is what we have of it. Theorems and the
CIFAR-10 table come from its predecessor, "Global Convergence and Geometry of Contrastive Learning through Temperature
Annealing" (2025), and simulations from the result files of a follow-up. Each claim is judged on a system that can
decide it: that schedules get stuck, only where there is something to get stuck in.
"""

from infonce_langevin.claims.contrastive import TRAINING
from infonce_langevin.claims.finite import BOUND, SHAPES
from infonce_langevin.claims.noise import NOISE
from infonce_langevin.claims.toy import TOY
from infonce_langevin.claims.traps import TRAPS
from repro_shared.claims import Claim

_ALL = [*TOY, *TRAPS, *BOUND, *TRAINING, *NOISE, *SHAPES]
CLAIMS: list[Claim] = sorted(_ALL, key=lambda claim: claim.id.split("-")[0])
"""By their group, C1 to C8."""
