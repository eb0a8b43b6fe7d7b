"""Probes: how well a linear map or a small network can read a label off frozen features.

Two families, both trained on features that were computed once (`features.extract`):

- converged ones (`linear_probe`, `mlp_probe`, `ridge_probe`): features are standardised on the training set and
  training goes on until it has converged, so that neither the features' scale nor a number of epochs matters;
- the authors' (`published_probe`): 5 epochs of Adam on the features as they are.

Features of heads are strongly correlated, which makes gradient methods slow. The converged probes therefore optimise in
whitened coordinates  x~ = P' x,  P = V (Lambda + delta)^(-1/2)  with V Lambda V' the covariance of the standardised
features, and are handed back as functions of the features themselves. For the linear probe that changes nothing but the
time (the penalty stays on the weights of the standardised features). For the MLP it also decides where training ends:
see `mlp_probe`.
"""

import copy
import math
import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor, nn

from proj_heads.backbones import initialised_from

_BLOCK = 1000
"""Samples that a CPU works on at once for the linear probe: they stay in its cache, which nearly halves the time."""

_LARGEST_WHITENED = 4096
"""Features of more dimensions than this are only standardised: their covariance takes too long to decompose."""


class Probe(NamedTuple):
    """A trained probe."""

    network: nn.Sequential
    """Features (n, d) -> logits (n, classes)."""
    log: dict[str, float]
    """How training ended."""

    @torch.no_grad()
    def accuracy(self, x: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> float:
        """Share of the labels that have the largest logit."""
        return (self.network(x).argmax(1) == y).double().mean().item()


class Standardise(nn.Module):
    """(x - mean) / standard deviation of the training features; dimensions that are constant become 0."""

    def __init__(self, x: Float[Tensor, "n d"]):
        super().__init__()
        _require_finite(x)
        deviation, mean = torch.std_mean(x, 0, correction=0)
        constant = deviation <= 1e-6 * mean.abs() + 1e-12
        self.register_buffer("mean", mean)
        self.register_buffer("factor", torch.where(constant, 0.0, 1 / deviation))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return (x - self.mean) * self.factor


def _require_finite(x: Tensor) -> None:
    if not torch.isfinite(x).all():
        raise ValueError("features are not finite: training has diverged, choose a smaller learning rate")


def _whitening(x: Float[Tensor, "n d"], delta: float) -> Float[Tensor, "d d"]:
    """P = V (Lambda + delta)^(-1/2) of standardised features, for which the mean eigenvalue is 1."""
    if x.shape[1] > _LARGEST_WHITENED:
        return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    eigenvalues, vectors = torch.linalg.eigh((x.T @ x / len(x)).double())
    return (vectors * (eigenvalues.clamp_min(0) + delta).rsqrt()).to(x.dtype)


def linear_probe(
    x: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    l2: float = 1e-4,
    tolerance: float = 5e-5,
    max_evaluations: int = 2000,
) -> Probe:
    """Multinomial logistic regression on standardised features, by L-BFGS in float64:

        min_{W, b}  mean_i [ logsumexp_c(W x_i + b)_c - (W x_i + b)_{y_i} ] + l2 / 2 ||W||^2

    scikit-learn's objective with C = 1 / (n l2), so that l2 = 1e-4 is its default at n = 10,000. It ends where no entry
    of the gradient (in whitened coordinates) exceeds `tolerance`; a warning says if it did not get there. (At 5e-5 the
    accuracies of 24 probes of three pretrained models, on 5,000 images, were within .1 points of those at 1e-7.)
    """
    standardise = Standardise(x)
    features = standardise(x).double()
    n, d = features.shape
    whitening = _whitening(features, delta=4 * l2)  # the penalty's curvature beside that of the loss, about 1/4 x x'
    inputs = torch.cat([features @ whitening, features.new_ones(n, 1)], 1)
    # classes come first, (classes, n): softmax over the leading axis and these matrix products are 4 times as fast
    targets = F.one_hot(y).T.to(features.dtype).contiguous()
    block = n if x.is_cuda else _BLOCK
    blocks = [*zip(inputs.split(block), targets.split(block, 1), strict=True)]
    parameters = features.new_zeros(len(targets), d + 1).requires_grad_()
    evaluations = 0

    @torch.no_grad()
    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        weight = parameters[:, :d] @ whitening.T  # of the standardised features
        loss, parameters.grad = l2 / 2 * weight.square().sum(), torch.zeros_like(parameters)
        parameters.grad[:, :d] = l2 * weight @ whitening
        for some, wanted in blocks:
            log_p = (parameters @ some.T).log_softmax(0)
            parameters.grad += (log_p.exp() - wanted) @ some / n
            loss -= (log_p * wanted).sum() / n
        return loss

    options = {"max_iter": max_evaluations, "max_eval": max_evaluations, "tolerance_change": 0.0, "history_size": 20}
    torch.optim.LBFGS([parameters], tolerance_grad=tolerance, line_search_fn="strong_wolfe", **options).step(closure)
    closure()
    gradient = parameters.grad.abs().max().item()
    if not gradient <= tolerance:
        warnings.warn(
            f"the linear probe stopped at a gradient of {gradient:.1e} > {tolerance:.1e} after {evaluations} "
            "evaluations: allow more, or raise l2",
            stacklevel=2,
        )
    linear = nn.utils.skip_init(nn.Linear, d, len(targets), device=x.device, dtype=x.dtype)
    with torch.no_grad():
        linear.weight.copy_(parameters[:, :d] @ whitening.T)
        linear.bias.copy_(parameters[:, d])
    return Probe(nn.Sequential(standardise, linear), {"evaluations": evaluations, "gradient": gradient})


def ridge_probe(x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], l2: float = 1e-3) -> Probe:
    """Least squares on one-hot labels and standardised features, in closed form: W = Y' X (X'X / n + l2 I)^(-1) / n."""
    standardise = Standardise(x)
    features, targets = standardise(x).double(), F.one_hot(y).double()
    n, d = features.shape
    covariance = features.T @ features / n + l2 * torch.eye(d, dtype=torch.double, device=x.device)
    linear = nn.utils.skip_init(nn.Linear, d, targets.shape[1], device=x.device, dtype=x.dtype)
    with torch.no_grad():
        linear.weight.copy_(torch.linalg.solve(covariance, features.T @ targets / n).T)
        linear.bias.copy_(targets.mean(0))  # features are centred
    return Probe(nn.Sequential(standardise, linear), {})


def mlp_probe(
    x: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    generator: torch.Generator,
    hidden: int = 256,
    delta: float | None = 1.0,
    lr: float = 3e-3,
    batch_size: int = 512,
    validation: float = 0.1,
    patience: int = 3,
    max_epochs: int = 200,
) -> Probe:
    """One hidden layer of ReLUs on standardised features, trained by Adam until the validation accuracy stops rising.

    A share `validation` of the samples, drawn from the generator, is held out. Where its accuracy has not had a new
    best for `patience` epochs the learning rate is multiplied by 0.3; the third time, training ends. The best epoch's
    weights are kept.

    delta: damping of the whitening, in units of the features' mean variance; None trains on the standardised features.
        On one SimCLR model (10,000 rotated images, 2 seeds of the probe) delta = 1 read more from z, the inner layer
        and h than None and 0.1: .875, .860, .859 against .866, .856, .834 and .867, .854, .853. For classes they
        differed by less than .01.
    """
    standardise = Standardise(x)
    features = standardise(x)
    whitening = _whitening(features, delta) if delta is not None else None
    inputs = features @ whitening if whitening is not None else features
    order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
    held_out = order[: math.ceil(validation * len(x))]
    chosen = order[len(held_out) :]
    classes = int(y.max()) + 1
    network = _mlp(inputs, hidden, classes, generator)
    optimizer = torch.optim.Adam(network.parameters(), lr, fused=True)
    fitting, answers = inputs[chosen], y[chosen]
    probe, best, since, cuts, epoch = Probe(network, {}), -1.0, 0, 0, 0
    while cuts < 3 and epoch < max_epochs:
        _adam_epoch(network, optimizer, fitting, answers, batch_size, generator)
        epoch += 1
        accuracy = probe.accuracy(inputs[held_out], y[held_out])
        if accuracy > best:
            best, since, weights = accuracy, 0, copy.deepcopy(network.state_dict())
        elif (since := since + 1) == patience:
            since, cuts = 0, cuts + 1
            optimizer.param_groups[0]["lr"] *= 0.3
    network.load_state_dict(weights)
    if whitening is not None:
        with torch.no_grad():
            network[0].weight.copy_(network[0].weight @ whitening.T)
    return Probe(nn.Sequential(standardise, *network), {"epochs": epoch, "validation_accuracy": best})


def published_probe(
    x: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    generator: torch.Generator,
    hidden: int | None = None,
    epochs: int = 5,
    lr: float = 1e-3,
    batch_size: int = 256,
) -> Probe:
    """The authors' probe: 5 epochs of Adam on the features as they are, without a validation set.

    hidden: width of the one hidden layer (256 on z, 512 on h), None for a linear probe.
    """
    _require_finite(x)
    network = _mlp(x, hidden, int(y.max()) + 1, generator)
    optimizer = torch.optim.Adam(network.parameters(), lr, fused=True)
    for _ in range(epochs):
        _adam_epoch(network, optimizer, x, y, batch_size, generator)
    return Probe(network, {"epochs": epochs})


def _mlp(x: Tensor, hidden: int | None, classes: int, generator: torch.Generator) -> nn.Sequential:
    """PyTorch's default initialisation, in the features' precision and on their device."""
    with initialised_from(generator):
        if hidden is None:
            network = nn.Sequential(nn.Linear(x.shape[1], classes))
        else:
            network = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, classes))
    return network.to(x)


def _adam_epoch(network, optimizer, x: Tensor, y: Tensor, batch_size: int, generator: torch.Generator) -> None:
    """Every sample once, in a new order; the last batch may be smaller."""
    order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
    for rows in order.split(batch_size):
        loss = F.cross_entropy(network(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def rotated(
    x: Shaped[Tensor, "n channels side side"], generator: torch.Generator
) -> tuple[Shaped[Tensor, "n channels side side"], Int64[Tensor, " n"]]:
    """Every image turned counter-clockwise by 0, 90, 180 or 270 degrees, and how many quarter turns that were (0 to 3):
    the authors' task for probes.
    """
    turns = torch.randint(4, (len(x),), generator=generator, device=generator.device).to(x.device)
    out = x.clone()
    for quarter in (1, 2, 3):
        out[turns == quarter] = x[turns == quarter].rot90(quarter, (2, 3))
    return out, turns
