"""The stacked trainer against autograd, torch's own Adam, single runs and a killed run."""

import numpy as np
import pytest
import torch

from aen_sae.initialisation import initialise
from aen_sae.losses import jump, loss, loss_jump
from aen_sae.seeds import generator
from aen_sae.spiked import Spiked, SpikedStream
from aen_sae.stacked import Recipe, Stack, Training, keep_largest, train
from aen_sae.weights import adaptive_weights
from repro_shared import UserError

N, D = 12, 24
TRAINING = Training(delay=5, ramp_steps=5, window=10, auxk_after=10, log_every=10)
PENALISED = [
    Recipe(l1=0.01),
    Recipe(l1=0.01, l2=0.02),
    Recipe(l1=0.02, gamma=0.5, ema_decay=0.9),
    Recipe(l1=0.02, l2=0.01, gamma=1.0, ema_decay=0.95, reference_fraction=0.1),
]


def initial(kind="published"):
    return initialise(kind, N, D, generator(0, "init"), torch.full((N,), 0.3))


def stream(seed=0):
    return SpikedStream(Spiked.draw(N, D, 0.5, 3, generator=generator(seed, "teacher")), 32, seed)


def autograd_reference(recipe: Recipe, steps: int, training=TRAINING) -> dict[str, torch.Tensor]:
    """A plain training loop for one penalised SAE: loss, autograd, torch.optim.Adam, projection of W_dec."""
    parameters = {name: p.clone().requires_grad_() for name, p in initial().items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=training.lr)
    activity, omega, data = torch.ones(D), torch.ones(D), stream()
    for step in range(1, steps + 1):
        x = next(data)
        with torch.no_grad():
            h = ((x - parameters["b_dec"]) @ parameters["W_enc"] + parameters["b_enc"]).relu()
            activity = recipe.ema_decay * activity + (1 - recipe.ema_decay) * h.mean(0)
            if recipe.gamma and step >= training.delay:
                share = min(1, (step - training.delay) / training.ramp_steps)
                omega = 1 + (adaptive_weights(activity, recipe.gamma, recipe.reference_fraction) - 1) * share
        optimizer.zero_grad()
        loss(parameters, x, recipe.l1, recipe.l2, omega).backward()
        if training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(list(parameters.values()), training.clip_norm)
        optimizer.step()
        with torch.no_grad():
            parameters["W_dec"] /= parameters["W_dec"].norm(dim=1, keepdim=True)
    return {name: p.detach() for name, p in parameters.items()}


def assert_same(sae, parameters, tolerance=2e-5):
    for name, expected in parameters.items():
        torch.testing.assert_close(getattr(sae, name), expected, atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_a_stack_equals_plain_autograd_training_of_each_member(clip_norm):
    training = Training(delay=5, ramp_steps=5, window=10, log_every=10, clip_norm=clip_norm)
    stack = Stack(PENALISED, initial(), training)
    train([stack], stream(), 30)
    for recipe, sae in zip(PENALISED, stack.members(), strict=True):
        assert_same(sae, autograd_reference(recipe, 30, training))


def test_manual_gradients_equal_autograd_to_rounding():
    stack = Stack(PENALISED, initial(), Training(delay=0, ramp_steps=0, lr=0.0))
    x = next(stream())
    before = [
        {name: getattr(sae, name).clone() for name in ("W_enc", "b_enc", "W_dec", "b_dec")} for sae in stack.members()
    ]
    stack.step(x)  # a step of size 0 leaves its gradients behind
    for i, (recipe, parameters) in enumerate(zip(PENALISED, before, strict=True)):
        at = {name: p.requires_grad_() for name, p in parameters.items()}
        loss(at, x, recipe.l1, recipe.l2, stack.weights[i]).backward()
        for name, p in at.items():
            torch.testing.assert_close(stack.parameters[name].grad[i].reshape(p.shape), p.grad, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("every", [2, 8])  # 12 dead latents are more than n / 2 = 6, 3 are fewer
def test_auxk_gradients_equal_autograd_of_saelens_loss(every):
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig

    recipes = [Recipe(k=2, auxk=0.5), Recipe(k=4), Recipe(k=3, auxk=1.0)]
    stack = Stack(recipes, initial(), Training(window=3, auxk_after=3, lr=0.0))
    stack.silent_steps[:, ::every] = 5
    stack.steps = 10
    x = next(stream())
    parameters = [
        {n: getattr(s, n).clone().requires_grad_() for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
        for s in stack.members()
    ]
    stack.step(x)
    dead = stack.dead()
    assert dead.any() and not dead.all()
    for i, (recipe, at) in enumerate(zip(recipes, parameters, strict=True)):
        pre = (x - at["b_dec"]) @ at["W_enc"] + at["b_enc"]
        top = pre.topk(recipe.k)
        xhat = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu()) @ at["W_dec"] + at["b_dec"]
        peer = TopKTrainingSAE(
            TopKTrainingSAEConfig(
                d_in=N, d_sae=D, k=recipe.k, aux_loss_coefficient=recipe.auxk, rescale_acts_by_decoder_norm=False
            )
        )
        del peer.W_dec
        peer.W_dec = at["W_dec"]
        aux = peer.calculate_topk_aux_loss(sae_in=x, sae_out=xhat, hidden_pre=pre, dead_neuron_mask=dead[i])
        ((x - xhat).square().mean() + aux / N).backward()  # SAELens sums over the n inputs
        for name, p in at.items():
            torch.testing.assert_close(stack.parameters[name].grad[i].reshape(p.shape), p.grad, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("recipes", [PENALISED, [Recipe(k=2), Recipe(k=5), Recipe(k=3, auxk=1.0)]])
def test_a_stack_of_m_equals_m_stacks_of_one(recipes):
    together = Stack(recipes, initial(), TRAINING)
    train([together], stream(), 40)
    for i, recipe in enumerate(recipes):
        alone = Stack([recipe], initial(), TRAINING)
        train([alone], stream(), 40)
        assert_same(
            together.members()[i], {n: getattr(alone.members()[0], n) for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
        )


def test_members_may_have_data_of_their_own():
    own = torch.stack([next(stream(seed)) for seed in range(2)])
    together = Stack(PENALISED[:2], initial(), TRAINING)
    together.step(own)
    alone = Stack(PENALISED[1:2], initial(), TRAINING)
    alone.step(own[1])
    torch.testing.assert_close(together.members()[1].W_enc, alone.members()[0].W_enc)


def test_decoder_rows_have_unit_norm_after_every_step():
    stack = Stack(PENALISED, initial(), TRAINING)
    data = stream()
    for _ in range(3):
        stack.step(next(data))
        torch.testing.assert_close(stack.parameters["W_dec"].norm(dim=-1), torch.ones(4, D))


def test_topk_with_all_latents_is_the_relu_code():
    pre = torch.randn(2, 7, D, generator=generator(0, "pre"))
    assert torch.equal(keep_largest(pre, [D, D]), pre.relu())


def test_topk_keeps_the_largest_of_each_member():
    pre = torch.randn(2, 50, D, generator=generator(0, "pre"))
    for kept, p, k in zip(keep_largest(pre, [2, 5]), pre, (2, 5), strict=True):
        top = p.topk(k)
        assert torch.equal(kept, torch.zeros_like(p).scatter(1, top.indices, top.values.relu()))


def test_dead_means_silent_for_the_whole_window():
    stack = Stack([Recipe(l1=0.0)], initial(), Training(window=3))
    data = stream()
    stack.parameters["b_enc"].data[0, 0, 0] = -1e6  # latent 0 can never fire
    for _ in range(3):
        stack.step(next(data))
    assert stack.dead()[0, 0] and stack.dead().float().mean() < 0.5
    stack.parameters["b_enc"].data[0, 0, 0] = 1e3
    stack.step(next(data))
    assert not stack.dead()[0, 0]


def test_a_killed_run_resumes_to_the_same_parameters(tmp_path):
    class Killed(Exception):
        pass

    class DyingStream(SpikedStream):
        def __next__(self):
            if self._step == 33:
                raise Killed
            return super().__next__()

    def stacks():
        return [Stack(PENALISED, initial(), TRAINING), Stack([Recipe(k=3, auxk=1.0)], initial(), TRAINING)]

    straight, checkpoint = stacks(), tmp_path / "stacks.safetensors"
    train(straight, stream(), 60)
    teacher = Spiked.draw(N, D, 0.5, 3, generator=generator(0, "teacher"))
    with pytest.raises(Killed):
        train(stacks(), DyingStream(teacher, 32, 0), 60, checkpoint, checkpoint_every=20)
    resumed, data = stacks(), stream()
    train(resumed, data, 60, checkpoint, checkpoint_every=20)
    assert data.state_dict() == {"step": 60}
    for a, b in zip(straight, resumed, strict=True):
        assert a.state().keys() == b.state().keys()
        assert all(torch.equal(a.state()[name], b.state()[name]) for name in a.state())


def test_a_resumed_run_really_uses_the_checkpoint(tmp_path):
    checkpoint = tmp_path / "stacks.safetensors"
    first = [Stack(PENALISED, initial(), TRAINING)]
    train(first, stream(), 30, checkpoint, checkpoint_every=20)
    counted = stream()
    drawn = []
    counted_next = type(counted).__next__
    stream_class = type("Counting", (SpikedStream,), {"__next__": lambda self: drawn.append(1) or counted_next(self)})
    teacher = Spiked.draw(N, D, 0.5, 3, generator=generator(0, "teacher"))
    train([Stack(PENALISED, initial(), TRAINING)], stream_class(teacher, 32, 0), 30, checkpoint)
    assert len(drawn) == 10


def test_recorded_curves_are_those_of_the_training_batches():
    stack = Stack(PENALISED[:2], initial(), Training(log_every=5, window=5))
    data = stream()
    for _ in range(10):
        x = next(data)
        before = stack.members()[1]
        codes = before.encode(x)
        l0 = (codes > 0).float().sum(-1).mean().item()
        stack.step(x)
    recorded = stack.recorded()[1]
    assert recorded["step"].tolist() == [5, 10]
    assert recorded["train_l0"][-1] == pytest.approx(l0)


@pytest.mark.parametrize(
    "f, expected",
    [
        (lambda t: 1 + 2 * t * t + 0.01 * (t > 0.3), 0.01),
        (lambda t: 1 - t - 0.001 * (t > 0.77) + 0.1 * t**3, 0.001),
        (lambda t: 1 + 2 * t * t + abs(t - 0.4), 0.0),
        (lambda t: np.sin(9 * t), 0.0),
    ],
)
def test_jumps_of_known_functions_are_found_and_kinks_are_none(f, expected):
    assert jump(f) == pytest.approx(expected, abs=1e-6)


def jumprelu_loss(at, x):
    pre = (x - at["b_dec"]) @ at["W_enc"] + at["b_enc"]
    h = pre * (pre > 0.3)
    return (x - h @ at["W_dec"] - at["b_dec"]).square().mean() + 0.01 * (h > 0).double().sum(-1).mean()


@pytest.mark.parametrize(
    "loss_at, jumps",
    [
        (lambda at, x: loss(at, x, 0.01, 0.01, torch.ones(D, dtype=x.dtype)), False),
        (lambda at, x: loss(at, x, 0.0, 0.0, torch.ones(D, dtype=x.dtype), k=3), True),
        (jumprelu_loss, True),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_loss_that_selects_latents_jumps_and_aen_does_not(loss_at, jumps, seed):
    x = next(stream()).double()
    jump = loss_jump(initial(), lambda at: loss_at(at, x), generator(seed, "direction"))
    assert jump > 1e-5 if jumps else jump < 1e-7


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"l1": -1.0}, "penalties and gamma are >= 0"),
        ({"k": 3, "l1": 0.1}, "TopK needs k >= 1 and no penalties"),
        ({"auxk": 1.0}, "give k as well"),
        ({"ema_decay": 1.0}, "ema_decay must be in"),
    ],
)
def test_impossible_recipes_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**arguments)


def test_more_active_latents_than_there_are_is_refused():
    with pytest.raises(ValueError, match="choose 1 <= k <= d"):
        Stack([Recipe(k=D + 1)], initial(), TRAINING)


def test_a_checkpoint_of_other_saes_is_refused(tmp_path):
    checkpoint = tmp_path / "stacks.safetensors"
    train([Stack(PENALISED, initial(), TRAINING)], stream(), 30, checkpoint, checkpoint_every=20)
    with pytest.raises(UserError, match="belongs to SAEs with other settings"):
        train([Stack(PENALISED[:2], initial(), TRAINING)], stream(), 30, checkpoint)


@pytest.mark.parametrize(
    "content", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: b"x" * 99]
)
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path, content):
    checkpoint = tmp_path / "stacks.safetensors"
    train([Stack(PENALISED, initial(), TRAINING)], stream(), 30, checkpoint, checkpoint_every=20)
    checkpoint.write_bytes(content(checkpoint.read_bytes()))
    with pytest.raises(UserError, match="is damaged .* remove it"):
        train([Stack(PENALISED, initial(), TRAINING)], stream(), 30, checkpoint)


def test_a_full_disk_during_a_checkpoint_is_one_clear_line(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aen_sae.stacked.write_atomic", full)
    with pytest.raises(UserError, match="no space left on device.*free its space"):
        train([Stack(PENALISED, initial(), TRAINING)], stream(), 30, tmp_path / "c.safetensors", checkpoint_every=20)


def test_a_safetensors_file_from_elsewhere_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"W_enc": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="belongs to SAEs with other settings"):
        train([Stack(PENALISED, initial(), TRAINING)], stream(), 30, tmp_path / "other.safetensors")


def test_data_that_ends_early_is_a_clear_error():
    class Short(SpikedStream):
        def __next__(self):
            if self._step == 7:
                raise StopIteration
            return super().__next__()

    teacher = Spiked.draw(N, D, 0.5, 3, generator=generator(0, "teacher"))
    with pytest.raises(UserError, match="ended after 7 of 30 steps"):
        train([Stack(PENALISED, initial(), TRAINING)], Short(teacher, 32, 0), 30)


def test_relu_and_topk_do_not_mix():
    with pytest.raises(ValueError, match="two stacks"):
        Stack([Recipe(l1=0.1), Recipe(k=2)], initial(), TRAINING)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_gpu_agree():
    on_cpu, on_gpu = (Stack(PENALISED, {n: p.to(d) for n, p in initial().items()}, TRAINING) for d in ("cpu", "cuda"))
    data = stream()
    for _ in range(10):
        x = next(data)
        on_cpu.step(x), on_gpu.step(x.cuda())
    for a, b in zip(on_cpu.members(), on_gpu.members(), strict=True):
        np.testing.assert_allclose(a.W_enc, b.W_enc.cpu(), atol=1e-4)
