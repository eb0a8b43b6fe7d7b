"""SimSiam on a small MLP, many seeds at a time: the networks, collapsed starts, and the objective of all members.

    z = f(x)   backbone: linear maps, each with batch norm and ReLU        h = head(z)        p = predictor(h)

    L = -(1/2) mean_i [ cos(p1_i, sg h2_i) + cos(p2_i, sg h1_i) ]          sg: constant under differentiation

With `infonce_loss` in its place, which drives outputs apart, the same members are a control.

Members are ordinary `nn.Module`s. `Program` evaluates M of them as one: a member's parameters are a row of one matrix
(M, P), every linear map is one batched product, and activations are (M, features, views, batch). With the batch as last
axis a batch norm is a layer norm over that axis, which keeps members and views apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from proj_heads.backbones import initialised_from
from proj_heads.heads import Activation, build_head

TEMPERATURE = 0.1
"""tau of `infonce_loss`, the authors'."""

Loss = Callable[[Float[Tensor, "m k 2 batch"], Float[Tensor, "m k 2 batch"]], Float[Tensor, " m"]]
"""Of h and p."""


@dataclass(frozen=True)
class Sizes:
    """Widths and layers. The default is the authors' head and predictor (2048 -> 512 -> 2048) at a sixteenth of their
    width, on an MLP that sees images of 14 x 14.
    """

    inputs: int = 196
    """Numbers in an image."""
    backbone: tuple[int, ...] = (64, 32)
    """Widths of the backbone's layers; the last one is d."""
    width: int = 128
    """Hidden width of the head."""
    k: int = 128
    """Outputs of the head."""
    predictor: int = 32
    """Hidden width of the predictor."""
    activation: Activation = "swish"
    """Of head and predictor; linear never has batch norms."""
    norm: bool = False
    """Batch norm after each linear map of head and predictor."""

    def __post_init__(self):
        if not self.backbone or min(self.inputs, *self.backbone, self.width, self.k, self.predictor) < 1:
            raise ValueError(f"{self}: choose at least one backbone layer and widths >= 1")
        if self.norm and self.activation == "linear":
            raise ValueError("a linear head has no batch norms: choose norm = False or another activation")


class Siamese(NamedTuple):
    """The networks of one member."""

    backbone: nn.Sequential
    head: nn.Sequential
    predictor: nn.Sequential


def siamese(sizes: Sizes, generator: torch.Generator) -> Siamese:
    """Freshly initialised networks, by PyTorch's default: U(+-1/sqrt(fan in)).

    Their batch norms keep no running statistics: in evaluation, too, they use the batch that they are given.
    """
    widths, layers = (sizes.inputs, *sizes.backbone), [nn.Flatten()]
    with initialised_from(generator):
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.d = widths[-1]
    shared = {"activation": sizes.activation, "norm": sizes.norm, "generator": generator}
    head = build_head(backbone.d, sizes.width, sizes.k, **shared)
    predictor = build_head(sizes.k, sizes.predictor, sizes.k, **shared)
    for module in (*backbone, *head, *predictor):
        if isinstance(module, nn.BatchNorm1d):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return Siamese(backbone, head, predictor)


@torch.no_grad()
def mean_shift_(backbone: nn.Sequential, x: Float[Tensor, "n ..."], epsilon: float = 0.02) -> nn.Sequential:
    """Collapse the representations:  z <- mu + epsilon (a - mean a),  with mu along the mean of z and as long as z is.

    a is the output of the last affine layer (batch norm or linear map; a ReLU may follow), and all means are over the
    batch x before the change; ||mu||^2 = mean ||z||^2. The gain of that layer is multiplied by epsilon and its bias is
    set; nothing else changes. Where mu_j > epsilon |a_j - mean a_j|, as for all units that fire at times, a ReLU passes
    everything on: differences between images are still there, but small beside what all have in common.
    """
    layers = [*backbone]
    end = len(layers) - isinstance(layers[-1], nn.ReLU)
    if end == 0 or getattr(layers[end - 1], "bias", None) is None:
        raise ValueError("mean_shift_ needs a backbone that ends in an affine layer with a bias, or that and a ReLU")
    a = backbone[:end](x)
    z = backbone[end:](a)
    mu = z.mean(0) * (z.square().sum(1).mean().sqrt() / z.mean(0).norm())
    affine = layers[end - 1]
    affine.weight *= epsilon
    affine.bias.copy_(mu + epsilon * (affine.bias - a.mean(0)))
    return backbone


def unit(x: Float[Tensor, "m k *batch"]) -> Float[Tensor, "m k *batch"]:
    """Unit vectors along the feature axis; a norm below 1e-8 counts as 1e-8 (as in torch's cosine similarity)."""
    return x * x.square().sum(1, keepdim=True).clamp_min(1e-16).rsqrt()


def simsiam_loss(h: Float[Tensor, "m k 2 batch"], p: Float[Tensor, "m k 2 batch"]) -> Float[Tensor, " m"]:
    """L of each member; h and p hold both views. Between -1 (agreement) and 1."""
    return -(unit(p) * unit(h.detach()).flip(2)).sum(1).mean((1, 2))  # the mean over views is the factor 1/2


def infonce_loss(h: Float[Tensor, "m k 2 batch"], p: Float[Tensor, "m k 2 batch"]) -> Float[Tensor, " m"]:
    """InfoNCE from view 1 to view 2, as the authors' SimCLR has it; the predictor's outputs p play no part.

    -mean_i log( exp(h1_i . h2_i / tau) / sum_j exp(h1_i . h2_j / tau) ),  unit vectors h, tau = .1
    """
    u = unit(h) / TEMPERATURE**0.5
    logits = u[:, :, 0].mT @ u[:, :, 1]  # (m, batch, batch)
    return (logits.logsumexp(2) - logits.diagonal(dim1=1, dim2=2)).mean(1)


class Outputs(NamedTuple):
    """What the networks of all members make of a batch of pairs of views."""

    z: Float[Tensor, "m d 2 batch"]
    h: Float[Tensor, "m k 2 batch"]
    p: Float[Tensor, "m k 2 batch"]


class Program:
    """M members with equal layers as one function of their stacked parameters (M, P).

    A row holds the parameters of backbone, head and predictor, in this order and each as PyTorch lists them; `parts`
    has the columns of each. Layers may be Linear, BatchNorm1d and elementwise ones.
    """

    def __init__(self, networks: Siamese):
        """`networks`: any member; only its layers are used."""
        self.networks = networks
        self.shapes = [p.shape for p in _parameters(networks)]
        self.parts, start = {}, 0
        for name, network in networks._asdict().items():
            size = sum(p.numel() for p in network.parameters())
            self.parts[name] = slice(start, start + size)
            start += size

    def pack(self, members: Sequence[Siamese], dtype: torch.dtype = torch.float32) -> Float[Tensor, "m p"]:
        """The parameters of these members, copied."""
        if any([p.shape for p in _parameters(member)] != self.shapes for member in members):
            raise ValueError("members of one program have equal layers: make them with the same Sizes")
        rows = [torch.cat([p.detach().flatten() for p in _parameters(member)]) for member in members]
        return torch.stack(rows).to(dtype)

    @torch.no_grad()
    def unpack_(self, row: Float[Tensor, " p"], member: Siamese) -> Siamese:
        """Give a member the parameters of a row."""
        sizes = [shape.numel() for shape in self.shapes]
        for parameter, values in zip(_parameters(member), row.split(sizes), strict=True):
            parameter.copy_(values.view_as(parameter))
        return member

    def outputs(self, theta: Float[Tensor, "m p"], x: Float[Tensor, "m inputs 2 batch"]) -> Outputs:
        """z, h and p of every member for its own pairs of views."""
        pieces = theta.split([shape.numel() for shape in self.shapes], 1)  # one split: its gradient is one `cat`
        parameters = (piece.view(len(theta), *shape) for piece, shape in zip(pieces, self.shapes, strict=True))
        values = [x]
        for network in self.networks:
            values.append(_apply(network, parameters, values[-1]))
        return Outputs(*values[1:])

    def gradient(
        self, theta: Float[Tensor, "m p"], x: Float[Tensor, "m inputs 2 batch"], objective: Loss = simsiam_loss
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, "m p"], Outputs]:
        """Each member's loss, its gradient (SimSiam's targets held constant), and the outputs."""
        theta = theta.detach().requires_grad_()
        outputs = self.outputs(theta, x)
        loss = objective(outputs.h, outputs.p)
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
        return loss.detach(), gradient, Outputs(*(value.detach() for value in outputs))


def _parameters(networks: Siamese) -> list[nn.Parameter]:
    return [p for network in networks for p in network.parameters()]


def _apply(network: nn.Sequential, parameters: Iterator[Tensor], x: Float[Tensor, "m before 2 batch"]) -> Tensor:
    """All members of one network; takes its parameters off the iterator."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            y = torch.bmm(next(parameters), x.flatten(2))  # (m, out, in) (m, in, 2 batch)
            if layer.bias is not None:
                y = y + next(parameters)[..., None]
            x = y.unflatten(2, x.shape[2:])
        elif isinstance(layer, nn.BatchNorm1d):
            gain, bias = next(parameters)[..., None, None], next(parameters)[..., None, None]
            x = torch.addcmul(bias, F.layer_norm(x, x.shape[-1:], eps=layer.eps), gain)
        elif not isinstance(layer, nn.Flatten):  # images come in flat
            x = layer(x)
    return x
