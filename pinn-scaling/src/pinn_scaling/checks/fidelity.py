"""Are our runs the author's? (claims R)"""

import numpy as np

from pinn_scaling import published
from pinn_scaling.checks.judging import STEPS, rows
from repro_shared.claims import Finding
from repro_shared.judging import Check
from repro_shared.runlog import Results

PROBLEMS = ("poisson", "sine_gordon", "allen_cahn", "kdv_published")
CLOSE = 2.0
"""Factor between two means over five seeds whose standard deviation is of the size of the mean: 1.96 standard errors
of the logarithm of their ratio are a factor of 3.4, so 2 is not generous."""
SHARE = 80.0
"""Per cent of the cells that have to be that close."""


def means(activation: str) -> Check:
    def check(results: dict[str, Results]) -> Finding:
        """Share of the cells whose arithmetic mean over five seeds is within a factor of 2 of the published one; a cell
        with a run that diverged is not.
        """
        ratios = []
        for pde in PROBLEMS:
            table = rows(results, "published", pde, activation)
            table = table[(table["steps"] == STEPS) & table["seed"].isin(range(1, 6))]
            ours = table.groupby(["kappa", "width"])["error"].agg(lambda err: err.astype(float).mean(skipna=False))
            theirs = published.errors(pde, activation).set_index(["kappa", "width"])["err"]
            ratios.append((ours / theirs.reindex(ours.index)).to_numpy(dtype=float))
        ratio = np.concatenate(ratios)
        if not len(ratio):
            return Finding(None, None, None, 0, "inconclusive", "No cell was run at full length with seeds 1 to 5.")
        off = abs(np.log(ratio))
        share = 100 * float((off <= np.log(CLOSE)).mean())  # NaN is not close
        middle = np.exp(np.median(off[np.isfinite(off)])) if np.isfinite(off).any() else np.inf
        why = f"Median factor {middle:.2f} either way, {100 * (off <= np.log(3)).mean():.0f} % within a factor of 3."
        return Finding(share, None, None, len(ratio), "supported" if share >= SHARE else "contradicted", why)

    return check
