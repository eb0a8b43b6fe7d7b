"""Named random streams: a seed fans out by name, so no stream depends on how much another one has drawn."""

import hashlib

import jax


def key(seed: int, *name: str | int) -> jax.Array:
    """A `jax.random` key for (seed, name), for instance `key(0, "noise", "gaussian")`."""
    digest = hashlib.sha256("/".join(map(repr, name)).encode()).digest()
    return jax.random.fold_in(jax.random.key(seed), int.from_bytes(digest[:4], "little"))
