"""The studies at toy size: what they run, what they measure, and that they go on where they were stopped."""

import math
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from infonce_langevin import langevin
from infonce_langevin.cli import EXPERIMENTS
from infonce_langevin.experiments import bound, contrastive, noise, shapes, toy, traps


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_have_no_cell_twice_and_default_no_seed_of_smoke(name):
    module = import_module(f"infonce_langevin.experiments.{name}")
    for cells in module.PRESETS.values():
        assert len(set(cells)) == len(cells) > 0
        assert all(isinstance(cell, module.Config) for cell in cells)
    seeds = {cell.seed for cell in module.PRESETS["default"] if hasattr(cell, "seed")}
    assert seeds <= {0, *toy.FRESH}  # 0: exact cells have no chance in them


# ---- toy


def test_steps_are_the_published_ones():
    """`required_steps` of the author's files."""
    assert toy.steps_of((2.922, 5.177, 10.28, 25.0, 200.0), 10.0, 0.01, 50_000)[2:] == [165, 50, 6]
    assert toy.steps_of((0.1, 5.177), 10.0, 0.01, 700) == [700, 591]


def test_chains_that_are_held_on_go_on_from_where_they_were(tmp_path, monkeypatch):
    calls = []

    def spy(dynamics, schedule, steps, start, *arguments, simulate=langevin.simulate, **options):
        found = simulate(dynamics, schedule, steps, start, *arguments, **options)
        calls.append((schedule, start, found))
        return found

    monkeypatch.setattr(langevin, "simulate", spy)
    cell = toy.Config("rates", (25.0, 200.0), steps=(100,), chains=8)
    records = toy.run(cell, tmp_path)
    (_, _, annealed), (fixed, start, held) = calls
    assert torch.equal(start, annealed.z)
    assert fixed.beta[::8].tolist() == pytest.approx([25 * math.log1p(0.5), 200 * math.log1p(0.06)])
    assert [record["held"] for record in records] == toy.shares(held.energy, 2)


def test_all_starts_and_methods_are_tried_beside_one_exact_mass(tmp_path):
    records = toy.run(toy.Config("gibbs", beta=(10.0,), steps=(1,), chains=64), tmp_path)
    by = {record["kind"]: record for record in records}
    assert len(by) == 6 and len({record["exact"] for record in records}) == 1
    assert by["langevin, minimum"]["success"] == 1 and by["metropolis, maximum"]["success"] == 0
    assert records[0]["exact"] == pytest.approx(0.8661, abs=5 * records[0]["exact_error"] + 1e-3)


def test_chains_that_never_hit_count_with_all_steps(tmp_path):
    records = toy.run(toy.Config("hitting", (100.0,), beta=(10.0,), steps=(50,), chains=64), tmp_path)
    annealed, fixed = records
    assert (annealed["kind"], annealed["c"], fixed["end"]) == ("log", 100.0, 10.0)
    assert annealed["failure"] > 0.8 and annealed["hits"].max() == 11  # steps of this schedule
    assert fixed["hits"].max() == 50 and fixed["mean"] == pytest.approx(fixed["hits"].mean())


def test_shapes_end_at_the_same_beta(tmp_path, monkeypatch):
    ends = []

    def spy(dynamics, schedule, steps, *arguments, simulate=langevin.simulate, **options):
        ends.append(schedule((steps * dynamics.dt).float()))
        return simulate(dynamics, schedule, steps, *arguments, **options)

    monkeypatch.setattr(langevin, "simulate", spy)
    records = toy.run(toy.Config("shapes", beta=(100.0,), steps=(20, 10), noise="synthetic", chains=4), tmp_path)
    assert len(ends) == 3 and all(torch.allclose(end, torch.tensor(100.0), rtol=1e-5) for end in ends)
    assert [record["needed"] for record in records] == [10, 20] * 3


# ---- noise


def test_matched_models_have_the_trace_of_the_other():
    for kind in ("small", "large"):
        model, matched = noise.MODELS[kind], noise.MODELS[f"{kind}, matched"]
        assert sum(model) == pytest.approx(sum(matched)) and len(set(matched)) == 1


def test_exact_masses_are_at_the_temperature_of_the_trace(tmp_path):
    records = noise.run(noise.Config("fixed", beta=(7.0,), steps=1, chains=64), tmp_path)
    by = {record["kind"]: record["exact"] for record in records}
    assert by["small"] == pytest.approx(by["small, matched"]) and by["isotropic"] == by[noise.CORRECTED]
    assert by["small"] > by["isotropic"] > by["large"]


# ---- traps


def test_everyone_is_in_the_trap_at_first_and_a_quarter_of_the_uniform_law(tmp_path):
    records = traps.run(traps.Config("exact", (8.0,), size=80, horizon=1e3), tmp_path)
    trapped, uniform = (record["trapped"][0] for record in records)
    assert trapped > 0.9 and uniform == pytest.approx(0.25, abs=0.03)


def test_the_critical_rate_is_read_off_a_made_up_escape(tmp_path, monkeypatch):
    """P = exp(-int (t + 2)^-1.5 / 10) is what c = 1.5 c* would give exactly."""
    trap = traps.in_trap(_circle(80))

    def made_up(landscape, schedule, law, times, **options):
        share = np.exp(-0.2 * (2**-0.5 - (times + 2) ** -0.5))
        return share[:, None] * np.where(trap, 1 / trap.sum(), 0)

    monkeypatch.setattr("infonce_langevin.oracles.fokker_planck.evolve", made_up)
    first, _ = traps.run(traps.Config("exact", (1.5,), size=80, horizon=1e3), tmp_path)
    assert first["estimate"] == pytest.approx(first["critical"], rel=0.01)


def _circle(size):
    from infonce_langevin.energies import FrozenAnchor
    from infonce_langevin.oracles.landscapes import circle

    return circle(FrozenAnchor(), size)


def test_no_escape_to_be_seen_gives_no_rate(tmp_path):
    first, uniform = traps.run(traps.Config("exact", (30.0,), size=80, horizon=1e3), tmp_path)
    assert math.isnan(first["estimate"]) and math.isnan(uniform["estimate"])


def test_cold_chains_stay_in_the_square_and_warm_ones_leave(tmp_path):
    warm, cold = traps.run(traps.Config("square", (0.1, 50.0), horizon=5.0, dt=0.005, chains=64), tmp_path)
    assert warm["trapped_at_end"] < 0.5 and cold["trapped_at_end"] == 1


# ---- shapes


def test_more_time_is_better_for_every_shape(tmp_path):
    short, long = (
        {r["kind"]: r["success"] for r in shapes.run(shapes.Config("exact", horizon, 20.0, size=80), tmp_path)}
        for horizon in (20.0, 200.0)
    )
    assert short.keys() == {*shapes.SHAPES, *shapes.ADAPTIVE}
    assert all(short[kind] <= long[kind] + 1e-9 for kind in short)


def test_every_method_has_the_same_number_of_chain_steps(tmp_path, monkeypatch):
    spent = []

    def spy(dynamics, schedule, steps, start, *arguments, simulate=langevin.simulate, **options):
        chains = start.shape[2] if isinstance(start, torch.Tensor) else start[2]
        spent.append(chains * steps)
        return simulate(dynamics, schedule, steps, start, *arguments, **options)

    for module in ("langevin", "competitors"):
        monkeypatch.setattr(f"infonce_langevin.{module}.simulate", spy)
    shapes.run(shapes.Config("budget", 4.0, chains=16), tmp_path)
    assert spent == [16 * 400] * 4 + [16 * 4 * 100]


# ---- bound


def test_the_recommended_rate_is_there_and_marked(tmp_path):
    records = bound.run(bound.Config((0.5,), size=80, horizon=1e3, nodes=20), tmp_path)
    depth = math.sqrt(2) - 1
    assert [record["recommended"] for record in records] == [False, True]
    assert records[1]["ratio"] == pytest.approx(depth / (depth + 0.25))
    assert records[0]["predicted"] == pytest.approx(0.25 / depth)


# ---- contrastive training


def test_plans_are_what_they_say():
    assert contrastive.betas("tau .2", 3) == [5.0] * 3
    log, cosine = contrastive.betas("log", 100), contrastive.betas("cosine", 100)
    for plan in (log, cosine):
        assert plan[0] == pytest.approx(1) and plan[-1] == pytest.approx(20) and (np.diff(plan) > 0).all()
    published = contrastive.betas("published log", 200)
    assert 1.2e3 < published[0] < 1.5e3 and published[-1] == pytest.approx(1e4, rel=1e-3)
    epochs = contrastive.betas("published sqrt", 6, per_epoch=2)
    assert epochs[0] == epochs[1] < epochs[2] and epochs[-1] == pytest.approx(1 + (1e6 - 1) * 0.01)


TINY = contrastive.Config(data="digits", steps=4, batch=64, images=200, tested=100)


def test_runs_of_a_seed_are_paired(tmp_path):
    one, other = (contrastive.run(replace(TINY, plan=plan), tmp_path / plan)[0] for plan in ("tau 1", "tau .2"))
    same = contrastive.run(replace(TINY, plan="tau 1"), tmp_path / "again")[0]
    assert same["accuracy"] == one["accuracy"] and same["alignment"] == one["alignment"]
    assert one["alignment"] != other["alignment"]
    random = contrastive.run(replace(TINY, plan="random"), tmp_path / "random")[0]
    assert len(random["step"]) == 0 and random["train_images"] == 200


def test_a_run_that_diverges_says_so_and_has_no_accuracy(tmp_path):
    (record,) = contrastive.run(replace(TINY, optimizer="sgd", lr=1e30), tmp_path)
    assert record["diverged"] and "accuracy" not in record
