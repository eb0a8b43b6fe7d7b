"""The paper's claims, and what our runs say of them (how they are judged: `checks`).

"Scaling Laws and Pathologies of Single-Layer PINNs: Network Width and PDE Nonlinearity", Faris Chaudhry, arXiv
2603.12556, 2026. Published numbers come from the saved outputs of the author's analysis notebook: means over five seeds
for 16 to 2048 neurons. `default` has 16 to 64 neurons, so exponents are compared in sign and size; errors cell by cell.
"""

from pinn_scaling.claims.networks import NETWORKS
from pinn_scaling.claims.scaling import SCALING
from repro_shared.claims import Claim

CLAIMS: list[Claim] = [*SCALING, *NETWORKS]
