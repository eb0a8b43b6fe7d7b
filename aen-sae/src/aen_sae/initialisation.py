"""The two initialisations compared throughout (paper, synthetic study; the second is ours).

published  (authors' code)  W_enc, b_enc ~ U(+-1/sqrt(n)); W_dec ~ U(+-1/sqrt(d)), rows then scaled to norm 1; b_dec = 0
centered   (common practice)  random unit rows in W_dec; W_enc = W_dec^T; b_enc = 0; b_dec = mean of the data

They matter: data on a coherent dictionary have a large common mean. With b_dec = 0 and an encoder that knows nothing of
the decoder that mean dominates every pre-activation at the start, and many latents starve whatever the loss.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Init = Literal["published", "centered"]
INITS: tuple[str, ...] = get_args(Init)


def published(n: int, d: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The authors' start: PyTorch's linear layers (n -> d, d -> n without bias), decoder rows scaled to norm 1.

    Returns W_enc (n, d), b_enc (d,), W_dec (d, n), b_dec (n,), float32 on the generator's device.
    """

    def uniform(*shape: int, bound: float) -> Tensor:
        return torch.empty(shape, device=generator.device).uniform_(-bound, bound, generator=generator)

    return {
        "W_enc": uniform(n, d, bound=n**-0.5),
        "b_enc": uniform(d, bound=n**-0.5),
        "W_dec": F.normalize(uniform(d, n, bound=d**-0.5), dim=1),
        "b_dec": torch.zeros(n, device=generator.device),
    }


def centered(n: int, d: int, mean: Float[Tensor, " n"], generator: torch.Generator) -> dict[str, Tensor]:
    """Tied start around the data: atoms uniform on the unit sphere, W_enc = W_dec^T, b_enc = 0, b_dec = `mean`.

    Returns the same names, shapes and device as `published`.
    """
    if mean.shape != (n,):
        raise ValueError(f"the data mean has shape {tuple(mean.shape)}; pass the mean over samples, of shape ({n},)")
    device = generator.device
    atoms = F.normalize(torch.randn(d, n, generator=generator, device=device), dim=1)
    return {
        "W_enc": atoms.T.contiguous(),
        "b_enc": torch.zeros(d, device=device),
        "W_dec": atoms,
        "b_dec": mean.to(device, torch.float32, copy=True),
    }


def initialise(
    kind: str, n: int, d: int, generator: torch.Generator, mean: Float[Tensor, " n"] | None = None
) -> dict[str, Tensor]:
    """Initial parameters of an SAE of n inputs and d latents. kind: one of `INITS`; mean (n,): for "centered" only."""
    if kind == "published":
        return published(n, d, generator)
    if kind == "centered":
        if mean is None:
            raise ValueError(
                'init "centered" starts b_dec at the data mean: pass mean = x.mean(0) of some thousand samples x'
            )
        return centered(n, d, mean, generator)
    raise ValueError(f"unknown init {kind!r}; choose one of {', '.join(INITS)}")
