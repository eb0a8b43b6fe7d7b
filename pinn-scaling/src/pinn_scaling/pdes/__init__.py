"""The PDEs by name; a new one is a file like these and a line here."""

from pinn_scaling.pdes.allen_cahn import ALLEN_CAHN
from pinn_scaling.pdes.base import Condition, Derivatives, Pde
from pinn_scaling.pdes.burgers import BURGERS
from pinn_scaling.pdes.kdv import KDV, KDV_PUBLISHED
from pinn_scaling.pdes.poisson import POISSON
from pinn_scaling.pdes.sine_gordon import SINE_GORDON, SINE_GORDON_MOVING

PDES: dict[str, Pde] = {
    pde.name: pde for pde in (POISSON, SINE_GORDON, SINE_GORDON_MOVING, ALLEN_CAHN, KDV_PUBLISHED, KDV, BURGERS)
}

__all__ = ["PDES", "Condition", "Derivatives", "Pde"]
