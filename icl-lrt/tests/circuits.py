"""Networks built by hand, whose mechanism is known, and simple episodes for them."""

import math

import torch

from icl_lrt.model import Transformer
from icl_lrt.recipe import Architecture
from icl_lrt.seeds import generator
from icl_lrt.tasks import Episodes


def voter(
    d: int,
    votes: dict[tuple[int, int], tuple[float, float]],
    layers: int = 2,
    masked: bool = True,
    gain: float = 3.0,
    large: float = 1e5,
) -> Transformer:
    """A network whose logit is gain * sum over heads of weight * f, and f a Nadaraya-Watson estimate:

        f(x_q) = sum_i softmax_i(sharpness x_q . x_i / sqrt(d + 2)) s_i,   s = 2 y - 1

    votes: (layer, head) -> (sharpness, weight). Other heads look everywhere alike and write nothing, feed-forward
    blocks do nothing. A token holds each feature and its negative, so that its mean is 0: the point x (context), the
    point q (query), the label s, the vote, a flag of queries, and a constant `large`, beside which the others do not
    move a layer norm: that makes the norms identities, up to 1e-9.
    """
    features = 2 * d + 4
    width, size = 2 * features, d + 2
    x, q = range(d), range(d, 2 * d)
    s, vote, flag, constant = range(2 * d, features)
    architecture = Architecture(d, 1, width, 4, layers, 1, positions="none", masked=masked)
    model = Transformer(architecture, generator(0)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()

        def write(tensor, feature, value):
            tensor[feature] += value
            tensor[feature + features] -= value

        for j in range(d):
            write(model.x_proj.weight[:, j], x[j], 1.0)
            write(model.query_proj.weight[:, j], q[j], 1.0)
        for projection in (model.x_proj, model.query_proj):
            write(projection.bias, constant, large)
        write(model.x_proj.bias, s, -1.0)
        write(model.y_proj.weight[:, 0], s, 2.0)
        write(model.query_proj.bias, flag, 1.0)
        for layer in model.layers:
            for norm in (layer.norm1, layer.norm2):
                norm.weight.fill_(large / math.sqrt(features))
        for (number, head), (sharpness, weight) in votes.items():
            layer, rows = model.layers[number], head * size
            for j in range(d):
                layer.in_proj_weight[rows + j, q[j]] = sharpness
                layer.in_proj_weight[width + rows + j, x[j]] = 1.0
            layer.in_proj_bias[rows + d] = 1e3  # nobody reads a query, it itself neither
            layer.in_proj_weight[width + rows + d, flag] = -1e3
            layer.in_proj_weight[2 * width + rows, s] = 1.0
            write(layer.out_proj.weight[:, rows], vote, weight)
        write(model.head.weight[0], vote, gain / 2)
    return model


def votes_of(episodes: Episodes, sharpness: float) -> torch.Tensor:
    """f of `voter`, written out."""
    d = episodes.x.shape[-1]
    scores = sharpness * episodes.query @ episodes.x.mT / math.sqrt(d + 2)
    return (scores.softmax(-1) * (2 * episodes.y[:, None] - 1)).sum(-1)


def blobs(batch: int, n: int, m: int, d: int, seed: int = 0, distance: float = 3.0) -> Episodes:
    """Two Gaussian classes of unit covariance, with means `distance` apart on opposite sides of the origin."""
    stream = generator(seed, "blobs")
    direction = torch.nn.functional.normalize(torch.randn(batch, 1, d, dtype=torch.float64, generator=stream), dim=-1)
    labels = torch.randint(2, (batch, n + m), generator=stream).double()
    noise = torch.randn(batch, n + m, d, dtype=torch.float64, generator=stream)
    points = noise + distance / 2 * (2 * labels[..., None] - 1) * direction
    x, query = points.split([n, m], 1)
    y, label = labels.split([n, m], 1)
    return Episodes(x, y, query, label, distance * (query * direction).sum(-1))


def random_network(
    masked: bool, seed: int = 0, layers: int = 2, d: int = 5, context: int = 6, **variant
) -> Transformer:
    """A small network with everything away from its initialisation: layers differ, norms and biases are not trivial."""
    architecture = Architecture(d, context, 16, 4, layers, 24, masked=masked, **variant)
    model = Transformer(architecture, generator(seed, "init")).double()
    stream = generator(seed, "noise")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64, generator=stream))
    return model
