"""The spiked dictionary model: sparse codes on atoms that share one direction (paper, synthetic study; authors' code).

    D_j = normalise(sqrt(1 - rho) u_j + sqrt(rho) v),     x = sum_{j in A} h_j D_j,  |A| = k uniform,  h_j ~ U[1, 3]

u_j and v are uniform on the unit sphere, so E[D_i . D_j] ~ rho for i != j: rho is the coherence of the dictionary.
The magnitudes are positive and the atoms share v, so for rho > 0 the data have a large common mean along v.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from aen_sae.seeds import generator as named_generator


def spiked_dictionary(n: int, d: int, rho: float, generator: torch.Generator) -> Float[Tensor, "d n"]:
    """d unit atoms (rows) in R^n with mean pairwise cosine rho in [0, 1)."""
    return Spiked.draw(n, d, rho, k=1, generator=generator).atoms


def sample_supports(rows: int, d: int, k: int, generator: torch.Generator) -> Int[Tensor, "rows k"]:
    """k of d indices per row, uniform without replacement: Floyd's algorithm, exact, k vectorised steps and no
    rejection.
    """
    support = torch.empty(rows, k, dtype=torch.long, device=generator.device)
    for i, top in enumerate(range(d - k, d)):
        draw = torch.randint(top + 1, (rows,), generator=generator, device=generator.device)
        taken = (support[:, :i] == draw.unsqueeze(1)).any(1)
        support[:, i] = torch.where(taken, top, draw)
    return support


@dataclass(frozen=True)
class Spiked:
    """A teacher: atoms, their shared direction, k active atoms a sample, magnitudes U[low, high]."""

    atoms: Float[Tensor, "d n"]
    spike: Float[Tensor, " n"]
    k: int = 16
    low: float = 1.0
    high: float = 3.0

    @classmethod
    def draw(cls, n: int, d: int, rho: float, k: int = 16, *, generator: torch.Generator) -> "Spiked":
        """A random teacher. The generator's device is the device of the teacher and its samples."""
        if not 0 <= rho < 1:
            raise ValueError(
                f"coherence rho = {rho} is not in [0, 1); choose 0 (incoherent) to 0.9 (the paper's hardest)"
            )
        if not 0 < k <= d:
            raise ValueError(f"k = {k} active atoms do not fit into d = {d} atoms; choose 1 <= k <= d")
        device = generator.device
        v = F.normalize(torch.randn(n, generator=generator, device=device), dim=0)
        u = F.normalize(torch.randn(d, n, generator=generator, device=device), dim=1)
        return cls(F.normalize((1 - rho) ** 0.5 * u + rho**0.5 * v, dim=1), v, k)

    def sample(
        self, rows: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "rows n"], Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
        """Noiseless samples x with the indices and magnitudes of their active atoms. Never forms the dense (rows, d)
        code.
        """
        support = sample_supports(rows, len(self.atoms), self.k, generator)
        magnitude = torch.rand(rows, self.k, generator=generator, device=generator.device)
        magnitude = self.low + (self.high - self.low) * magnitude
        x = F.embedding_bag(support, self.atoms, per_sample_weights=magnitude, mode="sum")
        return x, support, magnitude

    def dense_codes(
        self, support: Int[Tensor, "rows k"], magnitude: Float[Tensor, "rows k"]
    ) -> Float[Tensor, "rows d"]:
        """The true codes as a dense matrix, for metrics."""
        return magnitude.new_zeros(len(support), len(self.atoms)).scatter_(1, support, magnitude)


class SpikedStream:
    """Endless fresh batches of a teacher, drawn in chunks of 50; each chunk has its own seed, so the stream can start
    anywhere.
    """

    CHUNK = 50

    def __init__(self, teacher: Spiked, batch_size: int, seed: int, name: str = "data"):
        """Streams of other `name` or `seed` have other samples."""
        self._teacher, self._batch_size, self._seed, self._name = teacher, batch_size, seed, name
        self._step, self._chunk, self._batches = 0, -1, ()

    def __iter__(self) -> "SpikedStream":
        return self

    def __next__(self) -> Float[Tensor, "batch n"]:
        chunk, index = divmod(self._step, self.CHUNK)
        if chunk != self._chunk:
            generator = named_generator(self._seed, self._name, chunk, device=self._teacher.atoms.device)
            x, _, _ = self._teacher.sample(self.CHUNK * self._batch_size, generator)
            self._chunk, self._batches = chunk, x.split(self._batch_size)
        self._step += 1
        return self._batches[index]

    def state_dict(self) -> dict:
        return {"step": self._step}

    def load_state_dict(self, state: dict) -> None:
        self._step = state["step"]
