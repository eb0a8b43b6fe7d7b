"""The usual way to simulate many chains: one chain in plain array code, differentiated at each step, and vmap over it.

The published toy: four points on the sphere in R^3, the hard energy, isotropic noise, beta = c ln(1 + t), dt = .01.
"""

from collections.abc import Callable

import torch
from torch import Tensor

DT, C = 0.01, 5.0


def torch_func(chains: int, steps: int) -> Callable[[], object]:
    """torch.func.grad under torch.func.vmap, eager."""

    def energy(z: Tensor) -> Tensor:
        s = z @ z.T
        pairs = torch.stack([s[0, 1], s[0, 1], s[2, 3], s[2, 3]])
        blocked = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
        return (s.masked_fill(blocked, -torch.inf).amax(1) - pairs).mean()

    def step(z: Tensor, xi: Tensor, sigma: Tensor) -> Tensor:
        slope = torch.func.grad(energy)(z)
        slope = slope - (slope * z).sum(1, keepdim=True) * z
        noise = xi - (xi * z).sum(1, keepdim=True) * z
        z = z - DT * slope + sigma * noise
        return z / z.norm(dim=1, keepdim=True)

    stepped = torch.func.vmap(step, in_dims=(0, 0, None))
    draws = torch.Generator().manual_seed(0)

    def work() -> Tensor:
        z = torch.nn.functional.normalize(torch.randn(chains, 4, 3, generator=draws), dim=2)
        for k in range(steps):
            beta = C * torch.log1p(torch.tensor(k * DT)).clamp_min(1e-6)
            z = stepped(z, torch.randn(z.shape, generator=draws), (2 * DT / beta).sqrt())
        return z

    return work


def jax_scan(chains: int, steps: int) -> Callable[[], object]:
    """jax.grad in a scan over the steps, vmap over chains, jit around it: what the author's notebook does."""
    import jax
    import jax.numpy as jnp

    blocked = jnp.kron(jnp.eye(2), jnp.ones((2, 2))) > 0

    def energy(z):
        s = z @ z.T
        pairs = jnp.stack([s[0, 1], s[0, 1], s[2, 3], s[2, 3]])
        return jnp.mean(jnp.max(jnp.where(blocked, -jnp.inf, s), 1) - pairs)

    def chain(key):
        first, key = jax.random.split(key)
        z = jax.random.normal(first, (4, 3))

        def step(carry, k):
            z, key = carry
            key, now = jax.random.split(key)
            slope = jax.grad(energy)(z)
            slope = slope - jnp.sum(slope * z, 1, keepdims=True) * z
            xi = jax.random.normal(now, z.shape)
            noise = xi - jnp.sum(xi * z, 1, keepdims=True) * z
            beta = jnp.maximum(C * jnp.log1p(k * DT), 1e-6)
            z = z - DT * slope + jnp.sqrt(2 * DT / beta) * noise
            return (z / jnp.linalg.norm(z, axis=1, keepdims=True), key), None

        (z, _), _ = jax.lax.scan(step, (z / jnp.linalg.norm(z, axis=1, keepdims=True), key), jnp.arange(steps))
        return z

    run = jax.jit(jax.vmap(chain))
    keys = jax.random.split(jax.random.key(0), chains)
    return lambda: run(keys).block_until_ready()
