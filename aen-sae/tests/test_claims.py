"""Every claim is supported in a world made to obey it, and contradicted in the same world with one thing planted
against it.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from aen_sae.claims import CLAIMS
from repro_shared.claims import evaluate
from repro_shared.runlog import Results

SEEDS = range(4)


def spiked_world() -> pd.DataFrame:
    """AEN beats everything; published initialisation starves; lambda_1 of .001, .002, .004 gives L0 = 16, 8, 4."""
    methods = {  # dead share at rho = .9 with the published initialisation, F1, amplitude, gap
        "l1": (0.6, 0.4, 0.7, 0.2), "elastic_net": (0.45, 0.4, 0.7, 0.15), "adaptive_lasso": (0.35, 0.5, 0.8, 0.1),
        "aen": (0.3, 0.6, 0.9, 0.1), "topk": (0.95, 0.3, 0.9, np.nan), "topk_auxk": (0.6, 0.3, 0.9, np.nan),
        "gated": (0.5, 0.5, 0.9, np.nan),
    }  # fmt: skip
    rows = []
    for method, (dead, f1, amplitude, gap) in methods.items():
        for init in ("published", "centered"):
            for rho in (0.0, 0.9):
                for seed in SEEDS:
                    for i, (l1, l0) in enumerate(((0.001, 16.0), (0.002, 8.0), (0.005, 4.0))):
                        noise = 0.002 * np.sin(7 * seed + i)
                        share = dead * rho / 0.9 * (1 if init == "published" else 0.4)
                        adaptive = method in ("adaptive_lasso", "aen")
                        penalised = np.isfinite(gap)
                        row = {
                            "method": method, "active": 4, "statistic": "published", "init": init,
                            "rho": rho, "seed": seed,
                            "l1": l1 if penalised else np.nan, "k": np.nan if penalised else l0, "l0": l0,
                            "l2": 0.0005 if method in ("elastic_net", "aen") else np.nan,
                            "gamma": 0.5 if adaptive else np.nan,
                            "ema_decay": 0.999 if adaptive else np.nan,
                            "reference_fraction": 0.05 if adaptive else np.nan,
                            "dead_fraction": share + noise, "dead_window": share - 0.1, "f1": f1 + noise,
                            "amplitude_ratio": amplitude + noise,
                            "code_distance": gap + noise, "amortisation_gap": gap, "explained_variance": 0.8,
                            "loss_jump": 0.01 if method == "topk" else 1e-9,
                        }  # fmt: skip
                        rows.append(row)
                        if method == "aen":
                            rows.append(row | {"ema_decay": 0.9, "dead_fraction": share + 0.3 + noise})
                            rows.append(row | {"statistic": "debiased", "dead_fraction": share + 0.2 + noise})
                            rows.append(row | {"statistic": "conditional", "dead_fraction": share - 0.1 + noise})
    return pd.DataFrame(rows)


def llm_world() -> pd.DataFrame:
    """AEN reconstructs a little better than TopK and has fewer dead latents; the raw patch loses half."""
    rows = []
    for method, ev, dead in (("l1", 0.7, 0.02), ("aen", 0.81, 0.0), ("topk", 0.8, 0.2)):
        for init in ("published", "centered"):
            for seed in SEEDS:
                for l0 in (32.0, 128.0):
                    noise = 0.001 * np.sin(5 * seed)
                    rows.append({
                        "method": method, "statistic": "published", "init": init, "seed": seed, "l0": l0,
                        "l1": 1 / l0, "k": l0,
                        "l2": 0.0001 if method == "aen" else np.nan, "gamma": np.nan, "reference_fraction": np.nan,
                        "ema_decay": 0.99 if method == "aen" else np.nan,
                        "explained_variance": ev + noise, "ce_recovered": ev + noise,
                        "raw_ce_recovered": 0.5 * ev, "dead_fraction": dead + noise, "dead_window": dead + noise,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def theory_world() -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        for rho in (0.0, 0.9):
            for l2 in (0.0, 0.1):
                local = (1 - rho) ** -0.5 if l2 == 0 else 1.5
                rows.append({"part": "lipschitz", "l2": l2, "local_worst": local + 0.01 * seed, "random_pairs": 1.0,
                             "adversarial_pairs": 1.5, "far_pairs": 0.5})  # fmt: skip
                rows[-1] |= {"seed": seed, "rho": rho}
            for method, off, f1 in (
                ("l1", 190, 0.4),
                ("elastic_net", 1, 0.4),
                ("adaptive_lasso", 0, 0.6),
                ("aen", 0, 0.5),
            ):
                rows.append({"part": "support", "seed": seed, "rho": rho, "method": method, "off_support_latents": off,
                             "d": 256, "used": 64, "f1": f1 + 0.001 * seed, "l0": 17 if method == "l1" else 12,
                             "amplitude_ratio": f1 + 0.001 * seed, "lost_latents": 0})  # fmt: skip
                if rho == 0.9 and method == "l1":
                    rows.append(rows[-1] | {"l1": 0.4, "l0": 10, "f1": 0.9})  # decides only where a1 is swept
            rows.append({"part": "irc", "seed": seed, "rho": rho, "agree": 32, "samples": 32})
    return pd.DataFrame(rows).assign(n=64, gamma=1.0).fillna({"l1": 0.1})


def world() -> dict[str, Results]:
    tables = {"spiked": spiked_world(), "llm": llm_world(), "theory": theory_world()}
    return {name: Results(table, pd.DataFrame()) for name, table in tables.items()}


def plant(experiment: str, column: str, value, **where) -> Callable[[dict[str, Results]], None]:
    """Overwrite `column` in the rows that match `where`: by a number, or by a function of the old values."""

    def change(results: dict[str, Results]) -> None:
        table = results[experiment].table
        rows = np.logical_and.reduce([table[name] == wanted for name, wanted in where.items()])
        table[column] = table[column].astype(float)
        table.loc[rows, column] = value(table.loc[rows, column]) if callable(value) else value

    return change


def both(id: str, change: Callable[[str], Callable]) -> dict[str, Callable]:
    return {f"{id}-{init}": change(init) for init in ("published", "centered")}


AEN, NET, LASSO = ({"rho": 0.9, "method": method} for method in ("aen", "elastic_net", "adaptive_lasso"))


def starved_elastic_net(init: str) -> Callable:
    return plant("spiked", "dead_fraction", lambda old: old + 0.2, rho=0.9, method="elastic_net", init=init)


def starved_aen(init: str) -> Callable:
    change = lambda old: old + 0.9  # noqa: E731
    return plant("spiked", "dead_fraction", change, ema_decay=0.999, statistic="published", init=init, **AEN)


PLANTS: dict[str, Callable[[dict[str, Results]], None]] = {
    **both(
        "C1-coherence-starves",
        lambda init: plant("spiked", "dead_fraction", lambda old: 0 * old, method="l1", init=init),
    ),
    **both(
        "C1-strong-penalty", lambda init: plant("spiked", "dead_fraction", lambda old: 0 * old, method="l1", init=init)
    ),
    **both("D1-counting", lambda init: plant("spiked", "dead_window", lambda old: old + 0.5, init=init, **AEN)),
    **both("C1-equal-l0", lambda init: plant("spiked", "dead_fraction", lambda old: 0 * old, method="l1", init=init)),
    **both("C2-less-than-topk", lambda init: plant("spiked", "dead_fraction", lambda old: old + 0.9, init=init, **AEN)),
    **both("C2-less-than-l1", lambda init: plant("spiked", "dead_fraction", lambda old: old + 0.9, init=init, **AEN)),
    **both("C2-l2-equal-lambda", lambda init: starved_elastic_net(init)),
    **both("C2-l2-equal-l0", lambda init: starved_elastic_net(init)),
    **both("C2-weights-equal-lambda", lambda init: starved_aen(init)),
    **both("C2-weights-equal-l0", lambda init: starved_aen(init)),
    "C3-lipschitz": plant("theory", "adversarial_pairs", 1.6, part="lipschitz", l2=0.1, seed=0, rho=0.9),
    "C3-l1-unstable": plant("theory", "local_worst", 1.0, part="lipschitz", l2=0.0),
    **both("C3-amortisation", lambda init: plant("spiked", "code_distance", lambda old: old + 1, init=init, **AEN)),
    **both("C3-amortisation-l2", lambda init: plant("spiked", "code_distance", lambda old: old + 1, init=init, **NET)),
    **both(
        "C3-amortisation-weights",
        lambda init: plant("spiked", "code_distance", lambda old: old + 1, init=init, **LASSO),
    ),
    **both("C4-weights", lambda init: plant("spiked", "amplitude_ratio", lambda old: old - 0.5, init=init, **LASSO)),
    **both("C4-aen", lambda init: plant("spiked", "amplitude_ratio", lambda old: old - 0.5, init=init, **AEN)),
    "C5-global-support": plant(
        "theory", "off_support_latents", lambda old: old + 10, part="support", method="aen", rho=0.9
    ),
    "C5-sample-support": plant("theory", "f1", lambda old: old - 0.3, part="support", method="aen", rho=0.9),
    "C4-exact-equal-a1": plant("theory", "amplitude_ratio", lambda old: old - 0.5, part="support", **LASSO),
    "C4-exact-equal-l0": plant("theory", "amplitude_ratio", lambda old: old - 0.5, part="support", **LASSO),
    "C5-irrepresentable": plant("theory", "agree", 31, part="irc"),
    **both("C5-sparse-support", lambda init: plant("spiked", "f1", lambda old: old - 0.5, init=init, **AEN)),
    **both("C5-trained-support", lambda init: plant("spiked", "f1", lambda old: old - 0.5, init=init, **AEN)),
    **both(
        "C6-competitive",
        lambda init: plant("llm", "explained_variance", lambda old: old - 0.1, init=init, method="aen"),
    ),
    **both(
        "C6-cross-entropy", lambda init: plant("llm", "ce_recovered", lambda old: old - 0.1, init=init, method="aen")
    ),
    **both(
        "C7-llm-starvation", lambda init: plant("llm", "dead_fraction", lambda old: old + 0.5, init=init, method="aen")
    ),
    "C8-differentiable": plant("spiked", "loss_jump", 1e-3, method="aen", seed=0, l0=8.0),
    **both("B1-auxk", lambda init: starved_aen(init)),
    **both("B2-gated", lambda init: starved_aen(init)),
    **both(
        "B3-gated-reconstruction",
        lambda init: plant("spiked", "explained_variance", lambda old: old - 0.1, init=init, **AEN),
    ),
    "I1-init-topk": plant("spiked", "dead_fraction", lambda old: 0.9 + old / 100, rho=0.9, method="topk"),
    "I2-init-l1": plant("spiked", "dead_fraction", lambda old: 0.5 + old / 100, rho=0.9, method="l1"),
    **both(
        "W1-fast-average",
        lambda init: plant("spiked", "dead_fraction", lambda old: old - 0.5, ema_decay=0.9, init=init, **AEN),
    ),
    **both(
        "W2-hidden-schedule",
        lambda init: plant("spiked", "dead_fraction", lambda old: old - 0.5, statistic="debiased", init=init, **AEN),
    ),
    **both(
        "W3-rarity",
        lambda init: plant("spiked", "dead_fraction", lambda old: old + 0.5, statistic="conditional", init=init, **AEN),
    ),
    **both("P1-patching", lambda init: plant("llm", "raw_ce_recovered", lambda old: 2 * old, init=init)),
}


def verdict(id: str, results: dict[str, Results], preset: str = "default") -> str:
    (claim,) = (claim for claim in CLAIMS if claim.id == id)
    (judged,) = evaluate([claim], results, preset)
    return judged["verdict"]


def test_every_claim_has_a_planted_failure_and_ids_are_unique():
    ids = [claim.id for claim in CLAIMS]
    assert len(ids) == len(set(ids)) and set(ids) == set(PLANTS)


@pytest.mark.parametrize("id", PLANTS)
def test_claim_is_supported_where_it_holds_and_contradicted_where_it_does_not(id):
    results = world()
    assert verdict(id, results) == "supported"
    PLANTS[id](results)
    assert verdict(id, results) == "contradicted"


@pytest.mark.parametrize("id", PLANTS)
def test_smoke_results_never_decide_a_claim(id):
    assert verdict(id, world(), "smoke") == "inconclusive"


def test_losing_true_latents_contradicts_recovery_of_the_global_support():
    results = world()
    plant("theory", "lost_latents", 1, part="support", method="aen", rho=0.9, seed=2)(results)
    assert verdict("C5-global-support", results) == "contradicted"


def test_one_variant_stands_for_the_method_in_every_claim():
    results = world()
    table = results["spiked"].table
    greedy = table[(table["method"] == "aen") & (table["statistic"] == "published")].copy()
    greedy["l2"], greedy["explained_variance"], greedy["dead_fraction"] = (
        0.001,
        0.2,
        0.0,
    )  # alive, but it explains nothing
    results["spiked"].table = pd.concat([table, greedy], ignore_index=True)
    (claim,) = (c for c in CLAIMS if c.id == "C2-less-than-topk-published")
    assert "AEN 30" in claim.check(results).why


@pytest.mark.parametrize(
    "id", [id for id in PLANTS if id.startswith(("C2", "C4", "C5-tr", "C6", "C7", "W", "C1", "B"))]
)
def test_one_seed_is_never_enough_for_a_statement_about_seeds(id):
    results = world()
    for held in results.values():
        held.table = held.table[held.table["seed"] == 0]
    assert verdict(id, results) == "inconclusive"


def test_methods_without_a_common_sparsity_are_not_compared():
    results = world()
    table = results["spiked"].table
    table.loc[table["method"] == "topk", "l0"] *= 100
    assert verdict("C2-less-than-topk-published", results) == "inconclusive"


def test_missing_experiments_are_not_run():
    assert verdict("C6-competitive-published", {}) == "not-run"
