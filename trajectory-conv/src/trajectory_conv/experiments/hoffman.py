"""How large is the affine KKT Hoffman constant, and what is it made of? (claims C9, C10, C11)

ambient    fixed support, growing dimension d: features are appended one block after the other (their ambient_dimension)
supports   distribution over random supports of a size s (their sparse_hoffman)
tightness  closed-form upper bounds over exact values, many sizes and designs (their bound_tightness); Weyl's bound and
           that of the interaction by cross-leverages beside them
stability  does H bound how far the LASSO solution moves when y moves? (an older experiment of theirs)

One cell is one seed of a part; the first of each replays the authors' data. Expect 1 s (ambient), 8 s (supports) and
3 s (stability) per cell on one core, 20 s for the replayed tightness and 2 s for a seed of ours, with 3 designs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from repro_shared import UserError
from trajectory_conv.experiments.checked import require_positive, require_seed
from trajectory_conv.experiments.instances import draw_design

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repro_shared.runlog import Results

Part = Literal["ambient", "supports", "tightness", "stability"]
NORMS = {"2": ("h2", "upper2"), "1": ("h1", "upper1"), "inf": ("hinf", "upperinf")}
"""Operator norm -> names of the exact value and of its upper bound in `hoffman.AffineHoffman`."""


@dataclass(frozen=True)
class Config:
    part: Part = "ambient"
    """Which study, see the head of the module."""
    design: tuple[str, ...] = ("gaussian",)
    """Names in `designs.DESIGNS`."""
    n: tuple[int, ...] = (200,)
    """Samples; more than one for `tightness` only."""
    d: tuple[int, ...] = (400,)
    """Features; more than one for `ambient` (growing) and `tightness`."""
    s: tuple[int, ...] = (10,)
    """Sizes of the support; more than one for `supports` and `tightness`."""
    lam: float = 0.1
    """l1 penalty lambda, the inverse of the weight of the subgradients."""
    trials: int = 30
    """Supports per size (supports), designs per size (tightness), perturbations per size of dy (stability)."""
    size: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    """stability: standard deviations of dy."""
    stream: Literal["replay", "keys"] = "keys"
    """`replay`: NumPy's legacy stream in the authors' order. `keys`: jax.random."""
    seed: int = 0

    def __post_init__(self):
        from trajectory_conv.designs import DESIGNS

        require_positive(self, "n", "d", "s", "lam", "trials", "size")
        require_seed(self)
        if self.part not in get_args(Part):
            raise ValueError(f"unknown part {self.part!r}; choose from {', '.join(get_args(Part))}")
        if unknown := [name for name in self.design if name not in DESIGNS]:
            raise ValueError(f"unknown design {unknown[0]!r}; choose from {', '.join(DESIGNS)}")
        if not all((self.design, self.n, self.d, self.s)):
            raise ValueError("design, n, d and s need at least one entry each")
        if max(self.s) > min(*self.n, *self.d):
            raise ValueError(f"s = {max(self.s)}: G_SS is singular beyond min(n, d) = {min(*self.n, *self.d)}")
        if list(self.d) != sorted(set(self.d)):
            raise ValueError(f"d = {self.d}; choose increasing numbers")


def run(cell: Config, scratch: Path) -> list[dict]:
    """One record per dimension, per (design, s), per (n, d, s, design), or per size of the perturbation."""
    return {"ambient": _ambient, "supports": _supports, "tightness": _tightness, "stability": _stability}[cell.part](
        cell
    )


def _ambient(cell: Config) -> list[dict]:
    """A grows by standard normal columns; the support stays within the first ones."""
    from trajectory_conv.designs import normalise, target
    from trajectory_conv.hoffman import affine_hoffman

    draws, n = _draws(cell), cell.n[0]
    matrix = draw_design(cell.design[0], draws, n, cell.d[0])
    support = np.flatnonzero(target(draws, cell.d[0], cell.s[0]))
    records = []
    for d in cell.d:
        if d > matrix.shape[1]:
            matrix = np.hstack([matrix, normalise(draws.normal(n, d - matrix.shape[1]))])
        active, cross = _blocks(matrix, support)
        # padded with zero rows, which change nothing, so that all dimensions share one compiled program
        cross = np.vstack([cross, np.zeros((cell.d[-1] - d, len(support)))])
        values = affine_hoffman(active, cross, cell.lam, 0.0)._asdict()
        _require_regular(cell.design[0], cell.s[0], values["h2"])
        records.append({"n": n, "d": d, "s": cell.s[0], **{name: float(value) for name, value in values.items()}})
    return records


def _supports(cell: Config) -> list[dict]:
    """H_2 over uniform supports; designs come first, each with a target that is not used, as in the authors' script."""
    import jax
    import jax.numpy as jnp

    from trajectory_conv.designs import target
    from trajectory_conv.hoffman import affine_hoffman_2

    draws, n, d = _draws(cell), cell.n[0], cell.d[0]
    matrices = {}
    for name in cell.design:
        matrices[name] = draw_design(name, draws, n, d)
        target(draws, d, 1)

    @jax.jit
    def constants(gram, supports):
        square = gram @ gram

        def one(support):
            block = jnp.ix_(support, support)
            active = gram[block]
            return affine_hoffman_2(active, square[block] - active @ active, cell.lam, 0.0)

        return jax.lax.map(one, supports)

    records = []
    for name, matrix in matrices.items():
        gram = matrix.T @ matrix / n
        for s in cell.s:
            supports = _subsets(cell, draws, d, s)
            values = np.asarray(constants(gram, supports))
            _require_regular(name, s, values.max())
            records.append({"design": name, "n": n, "d": d, "s": s, "constants": values, **_moments(values)})
    return records


def _subsets(cell: Config, draws, d: int, s: int) -> np.ndarray:
    """(trials, s) random supports; the authors draw one after the other, ours come in one go, ten times as fast."""
    if cell.stream == "replay":
        return np.stack([draws.subset(d, s) for _ in range(cell.trials)])
    return draws.uniform(0.0, 1.0, cell.trials, d).argsort(axis=1)[:, :s]


def _moments(values: np.ndarray) -> dict:
    """The authors' statistics: population variance, skewness, excess kurtosis, tails."""
    from scipy.stats import kurtosis, skew

    return {
        "mean": values.mean(),
        "median": np.median(values),
        "variance": values.var(),
        "skewness": skew(values),
        "excess_kurtosis": kurtosis(values),
        "max": values.max(),
        "p99": np.percentile(values, 99),
        "max_over_median": values.max() / np.median(values),
    }


def _tightness(cell: Config) -> list[dict]:
    """Bounds over exact values; each trial draws a design, its target (not used) and a support."""
    from trajectory_conv.designs import target

    draws = _draws(cell)
    records = []
    for n, d, s, name in ((n, d, s, name) for n in cell.n for d in cell.d for s in cell.s for name in cell.design):
        trials = []
        for _ in range(cell.trials):
            matrix = draw_design(name, draws, n, d)
            target(draws, d, s)
            trials.append(_bounds(cell, name, matrix, draws.subset(d, s)))
        ratios = {key: np.array([trial[key] for trial in trials]) for key in trials[0]}
        record = {"n": n, "d": d, "s": s, "design": name, "weyl_finite": 100 * np.isfinite(ratios.pop("weyl")).mean()}
        for key, values in ratios.items():
            record |= {f"{of.__name__}_{key}": of(values) for of in (np.median, np.min, np.max)}
        records.append(record)
    return records


def _bounds(cell: Config, name: str, matrix: np.ndarray, support: np.ndarray) -> dict[str, float]:
    """By norm: the upper bound over the exact value; 2_lower: over the lower bound; weyl: Weyl's over the exact value;
    cross: ||G_{S^c S}||_2; leverage: its bound by cross-leverages over it.
    """
    from trajectory_conv.hoffman import affine_hoffman, weyl_bound
    from trajectory_conv.leverage import cross_leverage, interaction_bound

    active, cross = _blocks(matrix, support)
    found = affine_hoffman(active, cross, cell.lam, 0.0)
    _require_regular(name, len(support), found.h2)
    curvature, cross_norm = np.linalg.eigvalsh(active), np.sqrt(np.linalg.norm(cross.T @ cross, 2))
    inside = np.isin(np.arange(matrix.shape[1]), support)
    by_leverage = interaction_bound(cross_leverage(matrix, inside), inside, curvature[-1])
    return {norm: float(getattr(found, upper) / getattr(found, exact)) for norm, (exact, upper) in NORMS.items()} | {
        "2_lower": float(found.upper2 / found.lower2),
        "weyl": weyl_bound(curvature[0], cross_norm, cell.lam) / float(found.h2),
        "cross": cross_norm,
        "leverage": by_leverage / cross_norm if cross_norm else 1.0,  # all columns active: nothing to bound
    }


def _require_regular(name: str, s: int, h2) -> None:
    """UserError where H_2 is infinite."""
    if not np.isfinite(h2):
        raise UserError(
            f"design {name}: G_SS is singular on a support of s = {s}, so H is infinite; choose a smaller s"
        )


def _stability(cell: Config) -> list[dict]:
    """How far b* moves over H_2 ||A'dy / n||, for perturbations dy that keep support and signs."""
    from trajectory_conv.designs import target
    from trajectory_conv.hoffman import affine_hoffman
    from trajectory_conv.problems import lasso
    from trajectory_conv.solvers import find_optimum

    draws, n, d = _draws(cell), cell.n[0], cell.d[0]
    records = []
    for name in cell.design:
        matrix = draw_design(name, draws, n, d)
        y = matrix @ target(draws, d, cell.s[0])
        problem = lasso(matrix, y, cell.lam)
        solution = find_optimum(problem).x
        support = np.flatnonzero(solution)
        if not len(support):
            raise UserError(f"lam = {cell.lam}: the solution on {name} is zero; choose a smaller lam")
        active, cross = _blocks(matrix, support)
        h2 = float(affine_hoffman(active, cross, cell.lam, 0.0).h2)
        _require_regular(name, len(support), h2)
        for size in cell.size:
            ratios, errors = [], []
            for _ in range(cell.trials):
                change = matrix.T @ (size * draws.normal(n)) / n  # A'dy / n
                smooth = problem.smooth._replace(linear=problem.smooth.linear + change)
                moved = find_optimum(problem._replace(smooth=smooth), start=solution).x
                if not np.array_equal(np.sign(moved), np.sign(solution)):
                    continue  # another face: H says nothing
                predicted = np.linalg.solve(active, change[support])
                errors.append(np.abs((moved - solution)[support] - predicted).max())
                ratios.append(np.linalg.norm(moved - solution) / (h2 * np.linalg.norm(change)))
            records.append({
                "design": name,
                "n": n,
                "d": d,
                "s": cell.s[0],
                "size": size,
                "kept_face": len(ratios),
                "worst_ratio": max(ratios, default=None),
                "identity_error": max(errors, default=None),
            })  # fmt: skip
    return records


def _blocks(matrix: np.ndarray, support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(G_SS, G_{S^c S})."""
    columns = matrix.T @ matrix[:, support] / len(matrix)
    return columns[support], np.delete(columns, support, axis=0)


def _draws(cell: Config):
    from trajectory_conv.designs import KeyDraws, ReplayDraws
    from trajectory_conv.seeds import key

    return ReplayDraws(cell.seed) if cell.stream == "replay" else KeyDraws(key(cell.seed, "hoffman", cell.part))


_AMBIENT = Config(d=tuple(range(400, 2001, 50)))
_SUPPORTS = Config(
    part="supports", design=("gaussian", "spiked_0.8"), n=(300,), d=(600,), s=(2, 4, 8, 16, 32, 64), trials=2_000
)
_TIGHTNESS = Config(
    part="tightness", design=("gaussian", "spiked_0.5", "spiked_0.8"), n=(100, 200, 400), d=(500, 1000, 2000),
    s=(5, 10, 20, 40),
)  # fmt: skip
_STABILITY = Config(part="stability", design=("gaussian", "spiked_0.3", "ar1_0.5"))
_THEIRS = (_TIGHTNESS, _SUPPORTS, _AMBIENT)
_OURS = (_SUPPORTS, replace(_TIGHTNESS, trials=3), _AMBIENT, _STABILITY)


def _replayed(*cells: Config) -> list[Config]:
    return [replace(cell, stream="replay") for cell in cells]


def _seeds(count: int, *cells: Config) -> list[Config]:
    return [replace(cell, seed=seed) for cell in cells for seed in range(count)]


PRESETS: dict[str, list[Config]] = {
    "smoke": [
        *_replayed(
            replace(_AMBIENT, n=(50,), d=(80, 100, 120), s=(4,)),
            replace(_SUPPORTS, n=(50,), d=(80,), s=(2, 4), trials=50),
            replace(_TIGHTNESS, n=(50,), d=(80,), s=(4,), trials=3),
        ),
        *_seeds(1, replace(_STABILITY, n=(50,), d=(80,), s=(4,), trials=3)),
        *_seeds(3, replace(_AMBIENT, n=(50,), d=(80, 100, 120), s=(4,))),
        *_seeds(
            2,
            replace(_SUPPORTS, n=(50,), d=(80,), s=(2, 4), trials=50),
            replace(_TIGHTNESS, n=(50,), d=(80,), s=(4,), trials=3),
        ),
    ],
    "default": [*_replayed(*_THEIRS), *_seeds(8, *_OURS)],
    "paper": [*_replayed(*_THEIRS), *_seeds(30, *_OURS)],
}


def figures(results: Results) -> dict[str, Figure]:
    """H and its parts against d, its distribution over supports, tightness of the bounds, stability."""
    from trajectory_conv.experiments.hoffman_figures import draw

    return draw(results)
