"""The SAELens training architecture "aen": its loss, its trainer, its files, and the language-model route."""

import importlib
import json
import os
import subprocess
import sys

import pytest
import torch
from sae_lens import SAE, SAETrainer, StandardTrainingSAE, StandardTrainingSAEConfig, TrainingSAE
from sae_lens.config import SAETrainerConfig
from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY
from sae_lens.saes.sae import TrainStepInput

from aen_sae import sae as sae_module
from aen_sae.initialisation import initialise
from aen_sae.sae import AENSAE, AENTrainingSAE, AENTrainingSAEConfig, to_saelens
from aen_sae.stacked import Recipe, Stack, Training
from aen_sae.weights import STATISTICS, adaptive_weights

N, D, B = 16, 40, 32
EARLY = dict(adaptive_delay_steps=2, adaptive_ramp_steps=4, ema_beta=0.9)
"""The weights act within a few steps."""


def batches(count, n=N, seed=0, offset=0.5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(B, n, generator=generator) + offset for _ in range(count)]


def aen(lambda1=0.01, lambda2=0.002, **options):
    return AENTrainingSAE(AENTrainingSAEConfig.from_author_units(N, D, lambda1, lambda2, **{**EARLY, **options}))


def trainer_for(sae, data, total_steps=None):
    config = SAETrainerConfig(
        total_training_samples=(total_steps or len(data)) * B, train_batch_size_samples=B, lr=1e-2, lr_end=1e-2
    )
    return SAETrainer(config, sae, iter(data))


def fit(sae, data):
    return trainer_for(sae, data).fit()


def forward(sae, x, step=1):
    """Training forward pass of 1-based `step` at full coefficients."""
    coefficients = {"l1": sae.cfg.l1_coefficient}
    if isinstance(sae, AENTrainingSAE):
        coefficients["l2"] = sae.cfg.l2_coefficient
    return sae.training_forward_pass(TrainStepInput(x, coefficients, None, step - 1, False))


def parameters(sae):
    return {name: p.detach().clone() for name, p in sae.named_parameters()}


def authors_loss(p, x, lambda1, lambda2, omega):
    """The paper's loss sample by sample, latent by latent: mean over inputs, sum over latents, mean over the batch."""
    total = 0.0
    for row in x:
        h = [torch.relu((row - p["b_dec"]) @ p["W_enc"][:, j] + p["b_enc"][j]) for j in range(len(p["b_enc"]))]
        error = row - p["b_dec"] - sum(h[j] * p["W_dec"][j] for j in range(len(h)))
        total = total + (error**2).mean()
        total = total + sum(lambda1 * omega[j] * h[j] + lambda2 * h[j] ** 2 for j in range(len(h)))
    return total / len(x)


# ---- the loss


def test_loss_is_n_times_the_authors_and_the_weights_are_constants_of_it():
    n, d, x = 5, 7, torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spread = dict(adaptive_delay_steps=1, adaptive_ramp_steps=2, ema_beta=0.2, gamma=1.0, reference_fraction=0.5)
    config = AENTrainingSAEConfig.from_author_units(n, d, 0.03, 0.01, dtype="float64", **spread)
    sae = AENTrainingSAE(config)
    assert (config.l1_coefficient, config.l2_coefficient) == (n * 0.03, n * 0.01)
    output = forward(sae, x, step=5)
    omega = sae.penalty_weights(5).double()
    assert omega.min() < 0.9 and omega.max() > 1.5
    expected = n * authors_loss(parameters(sae), x, 0.03, 0.01, omega)
    torch.testing.assert_close(output.loss, expected, rtol=1e-7, atol=0)  # omega is single precision
    torch.testing.assert_close(sum(output.losses.values()), output.loss)

    output.loss.backward()
    step = 1e-6
    for name, p in sae.named_parameters():  # central differences of the naive loss, omega held fixed
        for index in torch.randperm(p.numel(), generator=torch.Generator().manual_seed(2))[:6].tolist():
            shifted = []
            for sign in (1, -1):
                at = parameters(sae)
                at[name].view(-1)[index] += sign * step
                shifted.append(n * authors_loss(at, x, 0.03, 0.01, omega))
            slope = (shifted[0] - shifted[1]) / (2 * step)
            torch.testing.assert_close(p.grad.view(-1)[index], slope, rtol=1e-6, atol=1e-8)


def test_weights_follow_the_moving_average_of_the_batch_just_seen():
    sae, (x,) = aen(), batches(1)
    output = forward(sae, x, step=4)
    activity = 0.9 + 0.1 * output.feature_acts.detach().mean(0)
    torch.testing.assert_close(sae.penalty_weights(4), 1 + (adaptive_weights(activity) - 1) * 0.5)
    sae.encode(x)  # inference does not touch the running mean
    torch.testing.assert_close(sae.activity_mean, activity)


@pytest.mark.parametrize(("options", "step"), [({"gamma": 0.0}, 100), ({}, 1), ({}, 2)])
def test_without_gamma_or_before_the_delay_it_is_the_plain_elastic_net(options, step):
    sae, (x,) = aen(**options), batches(1)
    output = forward(sae, x, step)
    assert torch.equal(sae.penalty_weights(step), torch.ones(D))
    h = output.feature_acts
    torch.testing.assert_close(output.losses["l1_loss"], N * 0.01 * h.sum(1).mean())
    torch.testing.assert_close(output.losses["l2_loss"], N * 0.002 * h.square().sum(1).mean())


def standard_like(sae):
    """SAELens's standard SAE with the parameters of `sae`."""
    config = StandardTrainingSAEConfig(d_in=N, d_sae=D, l1_coefficient=sae.cfg.l1_coefficient)
    standard = StandardTrainingSAE(config)
    standard.load_state_dict(parameters(sae))
    return standard


def test_plain_l1_has_the_loss_and_gradient_of_standard_on_a_unit_norm_decoder():
    ours = aen(lambda2=0.0, gamma=0.0)
    standard, (x,) = standard_like(ours), batches(1)
    a, b = forward(ours, x), forward(standard, x)
    torch.testing.assert_close(a.loss, b.loss)
    a.loss.backward(), b.loss.backward()
    for name in ("W_enc", "b_enc", "b_dec"):
        torch.testing.assert_close(getattr(ours, name).grad, getattr(standard, name).grad)

    def tangential(
        sae,
    ):  # standard also differentiates the decoder norm in its penalty: a radial term, which projection removes
        W, g = sae.W_dec.detach(), sae.W_dec.grad
        return g - (g * W).sum(1, keepdim=True) * W

    torch.testing.assert_close(tangential(ours), tangential(standard))
    assert not torch.allclose(ours.W_dec.grad, standard.W_dec.grad)


def test_plain_l1_with_a_free_decoder_trains_exactly_as_standard():
    ours = aen(lambda2=0.0, gamma=0.0, normalize_decoder=False)
    standard = standard_like(ours)
    fit(ours, batches(30)), fit(standard, batches(30))
    for name, p in parameters(standard).items():
        torch.testing.assert_close(parameters(ours)[name], p, rtol=1e-4, atol=1e-5)


# ---- training


def test_training_equals_a_plain_loop_with_projection_after_every_step():
    sae, data = aen(), batches(25)
    p = {name: tensor.requires_grad_() for name, tensor in parameters(sae).items()}
    optimizer = torch.optim.Adam(p.values(), lr=1e-2)
    activity = torch.ones(D)
    for t, x in enumerate(data, start=1):
        h = torch.relu((x - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
        activity = 0.9 * activity + 0.1 * h.detach().mean(0)
        omega = 1 + (adaptive_weights(activity) - 1) * min(1, max(0, (t - 2) / 4))
        error = (x - h @ p["W_dec"] - p["b_dec"]).square().mean()
        loss = error + 0.01 * (h * omega).sum(1).mean() + 0.002 * h.square().sum(1).mean()
        optimizer.zero_grad()
        (N * loss).backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)  # SAELens's trainer does
        optimizer.step()
        with torch.no_grad():
            p["W_dec"] /= p["W_dec"].norm(dim=1, keepdim=True)
    fit(sae, data)
    torch.testing.assert_close(sae.activity_mean, activity)
    torch.testing.assert_close(sae.W_dec / sae.W_dec.norm(dim=1, keepdim=True), p["W_dec"], rtol=1e-3, atol=1e-4)
    for name in ("W_enc", "b_enc", "b_dec"):
        torch.testing.assert_close(getattr(sae, name), p[name], rtol=1e-3, atol=1e-4)


def test_decoder_rows_have_unit_norm_in_every_step_and_after_saving(tmp_path, monkeypatch):
    sae, norms = aen(), []
    decode = AENTrainingSAE.decode
    monkeypatch.setattr(
        AENTrainingSAE, "decode", lambda self, h: norms.append(self.W_dec.detach().norm(dim=1)) or decode(self, h)
    )
    fit(sae, batches(20))
    torch.testing.assert_close(torch.stack(norms), torch.ones(20, D))
    sae.save_inference_model(tmp_path)
    torch.testing.assert_close(SAE.load_from_disk(tmp_path).W_dec.norm(dim=1), torch.ones(D))


def test_the_seed_alone_decides_the_start():
    torch.manual_seed(0)
    first = parameters(aen(seed=1))
    torch.manual_seed(1)
    again, other = parameters(aen(seed=1)), parameters(aen(seed=2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["W_enc"], other["W_enc"])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_resumed_run_is_the_straight_run(statistic, tmp_path):
    data, options = batches(40), dict(activity_statistic=statistic, ema_beta=0.95, l1_warm_up_steps=30)
    straight = fit(aen(**options), data)

    first = trainer_for(aen(**options), data[:20])
    first.fit()
    first.save_checkpoint("half", tmp_path)

    def resume(forget=()):
        sae = TrainingSAE.load_from_disk(tmp_path / "half")
        assert isinstance(sae, AENTrainingSAE)
        for name in forget:
            getattr(sae, name).fill_(1.0)
        second = trainer_for(sae, data[20:], total_steps=40)
        second.load_trainer_state(tmp_path / "half")
        return second.fit().state_dict()

    resumed = resume()
    assert set(resumed) == set(straight.state_dict())
    for name, tensor in straight.state_dict().items():
        assert torch.equal(resumed[name], tensor), name
    assert not torch.equal(resume(forget=["activity_mean"])["W_enc"], straight.W_enc)  # the buffers do matter


def test_centered_start_takes_the_mean_of_the_first_batch_and_keeps_it_on_resume(tmp_path):
    data = batches(6, offset=3.0)
    sae = aen(init="centered")
    assert torch.equal(sae.W_enc, sae.W_dec.T) and not sae.b_dec.any()
    trainer = trainer_for(sae, data)
    trainer.step(data[0])
    torch.testing.assert_close(sae.b_dec, data[0].mean(0), rtol=0, atol=0.011)  # one Adam step of 0.01 away
    trainer.save_checkpoint("one", tmp_path)
    resumed = TrainingSAE.load_from_disk(tmp_path / "one")
    forward(resumed, data[1] + 50, step=1)  # a new trainer counts from its own first step
    torch.testing.assert_close(resumed.b_dec, sae.b_dec)


def test_centered_start_from_given_activations():
    sae, (x,) = aen(init="centered"), batches(1, offset=3.0)
    sae.initialise_from(x)
    torch.testing.assert_close(sae.b_dec.detach(), x.mean(0))
    forward(sae, x + 50)
    torch.testing.assert_close(sae.b_dec.detach(), x.mean(0))
    with pytest.raises(ValueError, match='init="centered"'):
        aen().initialise_from(x)


def test_running_means_stay_in_single_precision():
    sae = aen().to(torch.bfloat16)
    assert (sae.W_dec.dtype, sae.activity_mean.dtype) == (torch.bfloat16, torch.float32)
    forward(sae, batches(1)[0].bfloat16(), step=5)
    assert sae.activity_mean.dtype == torch.float32 and (sae.activity_mean != 1).any()


# ---- activation norms


def test_per_token_norm_trains_on_unit_scale_and_saves_a_homogeneous_model(tmp_path):
    raw = [x * torch.rand(B, 1).exp() * 30 for x in batches(20)]
    scale = [x.norm(dim=1, keepdim=True) / N**0.5 for x in raw]
    ours = fit(aen(normalize_activations="constant_norm_rescale", init="centered"), raw)
    plain = fit(aen(init="centered"), [x / s for x, s in zip(raw, scale, strict=True)])
    for name, p in parameters(plain).items():
        torch.testing.assert_close(parameters(ours)[name], p, rtol=1e-4, atol=1e-5)
    ours.save_inference_model(tmp_path)
    loaded, x, s = SAE.load_from_disk(tmp_path), raw[0], scale[0]
    torch.testing.assert_close(loaded(x), s * plain(x / s), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(loaded(7 * x), 7 * loaded(x), rtol=1e-4, atol=1e-3)


def test_a_global_scale_is_folded_without_changing_the_function(tmp_path):
    data = [10 * x for x in batches(1040)]  # the scale is estimated on 1000 batches
    sae = aen(normalize_activations="expected_average_only_in")
    trainer = trainer_for(sae, data, total_steps=30)
    trainer.fit()
    sae.save_inference_model(tmp_path)
    loaded, x = SAE.load_from_disk(tmp_path), data[-1]
    torch.testing.assert_close(loaded(x), sae(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loaded.W_dec.norm(dim=1), torch.ones(D))
    assert (x - loaded(x)).square().mean() < 0.9 * x.square().mean()


# ---- files

LOAD_ELSEWHERE = """
import sys, torch
from sae_lens import SAE, StandardSAE
folder = sys.argv[1]
sae = SAE.load_from_disk(folder)
assert type(sae) is StandardSAE and sae.cfg.architecture() == "standard"
x, codes, output = torch.load(folder + "/probe.pt", weights_only=True)
torch.testing.assert_close(sae.encode(x), codes, rtol=1e-5, atol=1e-5)
torch.testing.assert_close(sae(x), output, rtol=1e-5, atol=1e-5)
assert not [name for name in sys.modules if name.startswith("aen_sae")]
print("loaded", sae.cfg.metadata.training_architecture, sae.cfg.metadata.training_architecture_details["gamma"])
"""


def test_a_saved_model_loads_as_standard_in_a_process_without_this_package(tmp_path):
    sae, (x,) = fit(aen(gamma=0.75), batches(20)), batches(1, seed=5)
    sae.fold_W_dec_norm()
    torch.save((x, sae.encode(x).detach(), sae(x).detach()), tmp_path / "probe.pt")
    sae.save_inference_model(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ELSEWHERE, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["loaded", "aen", "0.75"]


def test_saving_changes_neither_the_output_nor_the_training_state(tmp_path):
    sae, (x,) = fit(aen(), batches(20)), batches(1, seed=5)
    before = {name: tensor.clone() for name, tensor in sae.state_dict().items()}
    sae.save_inference_model(tmp_path)
    torch.testing.assert_close(SAE.load_from_disk(tmp_path)(x), sae(x))
    assert all(torch.equal(before[name], tensor) for name, tensor in sae.state_dict().items())


def test_a_training_checkpoint_also_loads_for_inference(tmp_path):
    sae, (x,) = fit(aen(), batches(20)), batches(1, seed=5)
    sae.save_model(tmp_path / "training")
    loaded = SAE.load_from_disk(tmp_path / "training")
    assert type(loaded) is AENSAE
    torch.testing.assert_close(loaded(x), sae(x))
    sae.fold_W_dec_norm()
    torch.testing.assert_close(loaded.encode(x), sae.encode(x))
    loaded.save_model(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "cfg.json").read_text())["architecture"] == "standard"
    torch.testing.assert_close(SAE.load_from_disk(tmp_path / "again")(x), sae(x))


# ---- SAELens's registry and runner


def test_reloading_the_module_registers_again_and_a_foreign_aen_is_refused(monkeypatch):
    saved = dict(SAE_CLASS_REGISTRY), dict(SAE_TRAINING_CLASS_REGISTRY)
    try:
        fresh = importlib.reload(sae_module)
        assert SAE_TRAINING_CLASS_REGISTRY["aen"] == (fresh.AENTrainingSAE, fresh.AENTrainingSAEConfig)
        assert SAE_CLASS_REGISTRY["aen"] == (fresh.AENSAE, fresh.AENSAEConfig)
        SAE_TRAINING_CLASS_REGISTRY["aen"] = (StandardTrainingSAE, StandardTrainingSAEConfig)
        with pytest.raises(ValueError, match="already registered"):
            sae_module._register()
    finally:
        for registry, entries in zip((SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY), saved, strict=True):
            registry.clear(), registry.update(entries)


def test_the_language_model_runner_trains_and_saves_a_loadable_model(llama_folder, windows, tmp_path):
    import datasets
    from sae_lens import LanguageModelSAERunnerConfig, LanguageModelSAETrainingRunner, LoggingConfig

    def run(name, **options):
        config = LanguageModelSAERunnerConfig(
            sae=AENTrainingSAEConfig(
                d_in=32, d_sae=64, l1_coefficient=0.5, normalize_activations="constant_norm_rescale", **EARLY, **options
            ),
            model_name=str(llama_folder),
            model_class_name="AutoModelForCausalLM",
            hook_name="model.layers.1",
            dataset_path="local",
            is_dataset_tokenized=True,
            streaming=False,
            prepend_bos=False,
            context_size=16,
            seqpos_slice=(1,),
            training_tokens=32 * 40,
            train_batch_size_tokens=32,
            store_batch_size_prompts=4,
            n_batches_in_buffer=64,
            lr=1e-2,
            lr_end=1e-2,
            logger=LoggingConfig(log_to_wandb=False),
            checkpoint_path=None,
            output_path=str(tmp_path / name),
        )
        dataset = datasets.Dataset.from_dict({"input_ids": windows.tolist()})
        runner = LanguageModelSAETrainingRunner(config, override_dataset=dataset)
        sae = runner.run()
        return sae, SAE.load_from_disk(tmp_path / name), runner

    sae, loaded, runner = run("centered", init="centered")
    assert sae.is_centered and loaded.cfg.architecture() == "standard"
    assert loaded.cfg.metadata.hook_name == "model.layers.1"
    x = next(runner.activations_store)
    torch.testing.assert_close(loaded(x), sae(x), rtol=1e-4, atol=1e-4)
    explained = 1 - (x - loaded(x)).square().sum() / (x - x.mean(0)).square().sum()
    assert explained > 0.3
    assert (sae.activity_mean != 1).all()


# ---- messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "kaiming"}, r"published\W+centered"),
        ({"activity_statistic": "median"}, r"published\W+debiased\W+conditional"),
        ({"decoder_init_norm": 0.1}, "leave it out"),
        ({"gamma": -1.0}, "must be >= 0"),
        ({"ema_beta": 1.0}, r"\[0, 1\)"),
        ({"reference_fraction": 0.0}, r"\(0, 1\]"),
        ({"weight_min": 2.0}, "enclose 1"),
        ({"adaptive_ramp_steps": -1}, "must be >= 0"),
    ],
)
def test_a_bad_option_says_what_to_choose(options, message):
    with pytest.raises((ValueError, TypeError), match=message):  # TypeError: beartype, where the tests switch it on
        AENTrainingSAEConfig(d_in=N, d_sae=D, **options)


@pytest.mark.parametrize("recipe", [Recipe(l1=0.01, l2=0.001), Recipe(k=3)])
def test_a_member_of_a_stack_becomes_a_saelens_model_that_can_be_saved(recipe, tmp_path):
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    stack = Stack([recipe], initialise("published", 8, 16, torch.Generator().manual_seed(1)), Training(delay=2))
    for _ in range(5):
        stack.step(x)
    (sae,) = stack.members()
    to_saelens(sae).save_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path)
    torch.testing.assert_close(loaded.encode(x), sae.encode(x))
    torch.testing.assert_close(loaded(x), sae.decode(sae.encode(x)))
    assert loaded.cfg.architecture() == ("standard" if recipe.k is None else "topk")
