"""The study of exact codes at smoke size: what the theorems demand of its numbers, its records, and its figures."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from aen_sae.experiments.theory import PRESETS, Config, figures, run
from repro_shared.claims import mean_interval
from repro_shared.runlog import Results

LIPSCHITZ = Config(part="lipschitz", n=16, d=32, active=2, samples=12, rho=(0.0, 0.9), l2=(0.0, 0.02, 0.2))
SUPPORT = Config(part="support", n=32, d=64, active=3, used=16, samples=60, rho=(0.0, 0.5), l2=(0.02,))
IRC = Config(
    part="irc", d=8, active=3, samples=10, rho=(0.0, 0.2, 0.5, 0.8), l2=(0.0, 0.03, 0.3), weight_off=(1.0, 2.0)
)
CELLS = {"lipschitz": LIPSCHITZ, "support": SUPPORT, "irc": IRC}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return {part: run(cell, tmp_path_factory.mktemp(part)) for part, cell in CELLS.items()}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    results = Results.from_records([(cell, run(cell, folder)) for cell in PRESETS["smoke"]])
    assert not list(folder.iterdir())  # nothing is written
    return results


def test_every_code_is_exact(smoke):
    assert smoke.table["kkt_residual"].max() < 1e-13
    assert smoke.table["uncertified"].sum() == 0


def test_each_member_of_a_cell_has_a_record_with_its_labels(records):
    labels = [(r["rho"], r["l2"]) for r in records["lipschitz"]]
    assert labels == [(rho, l2) for rho in LIPSCHITZ.rho for l2 in LIPSCHITZ.l2]
    assert [(r["rho"], r["method"]) for r in records["support"]] == [
        (rho, method) for rho in SUPPORT.rho for method in ("l1", "elastic_net", "adaptive_lasso", "aen")
    ]
    assert len(records["irc"]) == 4 * 3 * 2
    names = {f.name for f in fields(Config)}
    measured = [value for part in records.values() for r in part for key, value in r.items() if key not in names]
    assert all(type(value) in (int, float) and np.isfinite(value) for value in measured)


def test_equal_seeds_give_equal_records_and_other_seeds_others(tmp_path, records):
    for part, cell in CELLS.items():
        assert run(cell, tmp_path) == records[part]
        assert run(replace(cell, seed=1), tmp_path) != records[part]


def test_a_member_does_not_depend_on_what_else_is_in_its_cell(tmp_path, records):
    alone = run(replace(LIPSCHITZ, rho=(0.9,), l2=(0.2,)), tmp_path)
    assert alone == [r for r in records["lipschitz"] if (r["rho"], r["l2"]) == (0.9, 0.2)]
    alone = run(replace(SUPPORT, rho=(0.5,), method=("aen",)), tmp_path)
    assert alone == [r for r in records["support"] if (r["rho"], r["method"]) == (0.5, "aen")]


def test_pairs_respect_the_bound_and_the_worst_direction_reaches_the_local_constant(records):
    for r in records["lipschitz"]:
        assert r["local_median"] <= r["local_worst"]
        if r["l2"] > 0:
            bound = 1 / (2 * r["l2"] ** 0.5)
            assert max(r["random_pairs"], r["adversarial_pairs"], r["far_pairs"], r["local_worst"]) <= bound * (
                1 + 1e-9
            )
        assert r["adversarial_pairs"] > 0.7 * r["local_worst"]
        assert r["adversarial_pairs"] > r["random_pairs"]


def test_adaptive_weights_silence_the_latents_outside_the_global_support_and_only_they_do(records):
    for r in records["support"]:
        if r["method"] in ("adaptive_lasso", "aen"):
            assert r["off_support_latents"] == 0 and r["off_support_share"] < 0.01
        else:
            assert r["off_support_latents"] > 20 and r["off_support_share"] > 0.2
        assert 0 < r["precision"] <= 1 and 0 < r["recall"] <= 1 and 0 < r["amplitude_ratio"] < 1


def test_the_numeric_condition_agrees_with_the_solver_on_every_noisy_sample(records):
    assert all(r["condition_agrees"] == SUPPORT.samples for r in records["support"])
    assert any(0 < r["exact_recovery"] < 1 for r in records["support"])


def test_the_closed_form_agrees_with_the_solver_on_every_sample(records):
    assert all(r["agree"] == IRC.samples for r in records["irc"])
    assert {r["solved"] for r in records["irc"]} >= {0.0, 1.0}
    assert [r["predicted"] for r in records["irc"]] == [r["solved"] for r in records["irc"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "lipshitz"}, "choose from lipschitz, support, irc"),
        ({"rho": (0.5, 1.0)}, r"coherences in \[0, 1\)"),
        ({"active": 300}, "choose 1 <= active"),
        ({"part": "support", "l2": (0.02,), "used": 3}, "choose 1 <= active"),
        ({"part": "support", "l2": (0.0, 0.02)}, "l2 > 0"),
        ({"l1": 0.0}, "l1 = 0.0; choose numbers > 0"),
        ({"l2": (-0.1,)}, "choose numbers >= 0"),
        ({"method": ("topk",)}, "unknown method 'topk'"),
        ({"samples": 1}, "samples > 1"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_with_what_to_do(change, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Config(**change)


def test_presets_share_no_cell_and_default_has_three_seeds_of_every_part():
    assert all(len(set(cells)) == len(cells) for cells in PRESETS.values())
    for part in CELLS:
        assert {cell.seed for cell in PRESETS["default"] if cell.part == part} == {0, 1, 2}


def test_figures_show_the_recorded_numbers(smoke):
    drawn = figures(smoke)
    assert list(drawn) == ["lipschitz", "global_support", "irrepresentable"]
    table = smoke.table

    panel = drawn["lipschitz"].axes[-1]  # the largest coherence
    lines = {line.get_label(): line for line in panel.lines}
    at_rho = table[(table["part"] == "lipschitz") & (table["rho"] == 0.6) & (table["l2"] > 0)]
    worst = at_rho.groupby("l2")["adversarial_pairs"].max()
    np.testing.assert_allclose(lines["pairs, worst direction"].get_xydata(), np.c_[worst.index, worst])
    a2, bound = lines["bound"].get_xydata().T
    np.testing.assert_allclose(bound, 1 / (2 * np.sqrt(a2)))

    bars = drawn["global_support"].axes[2].containers
    f1 = table[table["method"].eq("aen") & table["part"].eq("support") & table["rho"].eq(0.0)]["f1"]
    [aen] = [group for group in bars if group.get_label() == "AEN"]
    assert aen[0].get_height() == pytest.approx(mean_interval(f1)[0])

    irc = table[table["part"] == "irc"]
    assert f"{int(irc['agree'].sum())} of {irc['samples'].sum()} samples" in drawn["irrepresentable"].get_label()


def test_a_second_size_has_figures_of_its_own(records):
    results = Results.from_records(
        [(LIPSCHITZ, records["lipschitz"]), (replace(LIPSCHITZ, n=20), records["lipschitz"])]
    )
    assert list(figures(results)) == ["lipschitz", "lipschitz_n20_gamma1"]


def test_the_configs_load_without_torch():
    code = "import sys, aen_sae.experiments.theory; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
