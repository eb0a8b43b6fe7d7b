"""Many annealed chains at once: schedules, noise and lengths per chain, records on the way, first hitting times.

    run = simulate(Langevin(hard), Log(torch.tensor([2.0, 8.0]).repeat_interleave(1024)), 2000, (4, 3, 2048), seed=0)
    (run.energy < -1.5).view(2, 1024).float().mean(1)

Chains run in tiles, one tile after the other, and leave when they are done. All random numbers come from streams that
are named by the seed, the tile and the step, so a resumed run has those that it would have had.
"""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple
from warnings import warn

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from infonce_langevin.checkpoints import Checkpoint, fingerprint
from infonce_langevin.dynamics import LOWEST_BETA, Langevin, Metropolis
from infonce_langevin.energies import Contrastive
from infonce_langevin.schedules import Schedule
from infonce_langevin.seeds import generator
from infonce_langevin.spheres import check_states, uniform

TILE = 8192
"""Chains that run at once on a CPU: more do not stay in its cache. A GPU runs all of them at once."""
_NUMBERS = 1 << 18
"""Random numbers drawn at once: a block of steps, as long as it stays in the cache."""
_LONGEST_BLOCK = 64
_FUSED = 4
"""Steps in one call of a compiled program: more make it faster still, and longer to compile."""
_SHARE_DONE = 1 / 8
"""Ours: chains that have hit leave when they are so many of those that run; smaller batches cost a copy."""


class Hitting(NamedTuple):
    """When a chain counts as having arrived: U < level in `run` states one after the other; published: 5."""

    level: float
    run: int = 5


class Run(NamedTuple):
    """What became of the chains."""

    z: Float[Tensor, "n d chains"]
    """The last states."""
    energy: Float[Tensor, " chains"]
    """U of the last states."""
    records: Float[Tensor, "records chains"]
    """U after so many steps; NaN for chains that were done before."""
    hit: Int64[Tensor, " chains"]
    """The step at which the run of low states begins (0 is the start); -1 for never."""


def simulate(
    dynamics: Langevin | Metropolis,
    schedule: Schedule,
    steps: int | Int64[Tensor, " chains"],
    start: tuple[int, int, int] | Float[Tensor, "n d chains"],
    seed: int,
    *,
    first: int = 0,
    record_at: Sequence[int] = (),
    hitting: Hitting | None = None,
    common: int = 1,
    compiled: bool = False,
    device: str = "cpu",
    scratch: Path | None = None,
) -> Run:
    """Run the chains for `steps` steps each, or until they have hit.

    `start` is a shape (n, d, chains), for the uniform law and float32, or the states to start from. Step k has
    beta(t) at t = (first + k) dt. `common` > 1 gives as many groups of chains, one after the other, the same random
    numbers, the start's included, until one of them leaves. `compiled` fuses steps with torch.compile: the same to
    rounding, for long runs, since it needs a C++ compiler and up to a minute at first. With a folder `scratch` the
    state is kept there, and the same call goes on from it to the very numbers of a straight run.
    """
    given = isinstance(start, Tensor)
    n, d, chains = start.shape if given else start
    steps = torch.as_tensor(steps).expand(chains)
    if (steps < 1).any() or chains < 1 or common < 1 or chains % common:
        raise ValueError(
            f"{chains} chains in {common} equal groups, {int(steps.min())} steps: choose 1 or more of each"
        )
    members = chains // common
    stream = generator(seed, "start", device=device)
    z = start.to(device) if given else uniform(n, d, members, stream).repeat(1, 1, common)
    check_states(z, isinstance(dynamics.energy, Contrastive))
    _check_schedule(dynamics, schedule, first, int(steps.max()), given, z)
    run = _Chains(dynamics, schedule, steps, z, seed, first, sorted(set(record_at)), hitting, members)
    made_by = fingerprint(
        dynamics, schedule, steps, start, seed, first, run.record_at, hitting, common, compiled, device
    )
    checkpoint = Checkpoint(scratch, f"chains-{first}", made_by)
    if (saved := checkpoint.load(device)) is not None:
        run.resume(saved)
    with torch.no_grad():
        while run.begin():
            while len(run.ids):
                run.advance(compiled)
                checkpoint.save(run.state())
    return Run(run.last, run.energy, run.records, run.hit)


def acceptance(
    dynamics: Metropolis, z: Float[Tensor, "n d chains"], beta: Float[Tensor, " chains"], seed: int
) -> Float[Tensor, ""]:
    """Share of proposals from the states z that pass the Metropolis test."""
    stream = generator(seed, "acceptance", device=z.device)
    xi = torch.randn(z.shape, generator=stream, device=z.device, dtype=z.dtype)
    moved, _ = dynamics.step(z, xi, beta, torch.rand(z.shape[2:], generator=stream, device=z.device, dtype=z.dtype))
    return (moved != z).any(1).any(0).double().mean()


def chosen(model, index: Int64[Tensor, " some"], chains: int):
    """A schedule, noise model or dynamics for some of the chains: fields with an entry per chain keep theirs."""
    if isinstance(model, Tensor):
        return model[..., index.to(model.device)] if model.ndim and model.shape[-1] == chains else model
    if is_dataclass(model):
        return replace(model, **{f.name: chosen(getattr(model, f.name), index, chains) for f in fields(model)})
    return model


def _steps(
    dynamics: Langevin | Metropolis, z: Tensor, xi: Tensor, beta: Tensor, chance: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Several steps, and U before each."""
    before = []
    for k in range(len(xi)):
        z, u = dynamics.step(z, xi[k], beta[k], None if chance is None else chance[k])
        before.append(u)
    return z, torch.stack(before)


@cache
def _compiled():
    return torch.compile(_steps, dynamic=True)


def _check_schedule(
    dynamics: Langevin | Metropolis, schedule: Schedule, first: int, steps: int, given: bool, z: Tensor
) -> None:
    ends = schedule(z.new_tensor([first, first + steps])[:, None] * dynamics.dt)
    if ends.shape[1] not in (1, z.shape[2]):
        raise ValueError(f"a schedule of {ends.shape[1]} chains for {z.shape[2]}: give one number, or one per chain")
    if given and (ends[0] <= 0).any():
        raise ValueError(
            "beta is 0 at first, which forgets the start and depends on dt: use Log(c, offset=2), or give a shape"
            " (n, d, chains) for a uniform start"
        )
    if isinstance(dynamics, Metropolis):
        return
    literal = dynamics.coupling == "literal"
    end = float(ends[1].max())
    energy = dynamics.energy.at(1 / end) if literal else dynamics.energy
    largest = 2 / energy.smoothness(len(z)) / (end if literal else 1)
    if dynamics.dt > largest:
        warn(f"dt = {dynamics.dt}: without noise the energy may rise; it cannot for dt < {largest:.3g}", stacklevel=3)


class _Chains:
    """Chains on their way, tile by tile. `ids` are those that run; what is held per chain follows their order."""

    def __init__(
        self,
        dynamics: Langevin | Metropolis,
        schedule: Schedule,
        steps: Int64[Tensor, " chains"],
        start: Float[Tensor, "n d chains"],
        seed: int,
        first: int,
        record_at: list[int],
        hitting: Hitting | None,
        members: int,
    ):
        self._whole = dynamics, schedule, steps
        self.start, self.seed, self.first, self.record_at, self.hitting = start, seed, first, record_at, hitting
        chains, device = start.shape[2], start.device
        tile = TILE if device.type == "cpu" else chains
        parts = [part for group in torch.arange(chains, device=device).split(members) for part in group.split(tile)]
        self.tiles, self.per_group = parts, math.ceil(members / tile)
        self.tile, self.done, self.ids, self._memory = -1, 0, parts[0][:0], start.new_empty(0)
        self.last, self.energy = torch.empty_like(start), start.new_empty(chains)
        self.records = start.new_full((len(record_at), chains), torch.nan)
        self.hit = torch.full((chains,), -1, device=device)

    def begin(self) -> bool:
        """Go on to the next tile, unless one is under way; False after the last."""
        if len(self.ids):
            return True
        if self.tile + 1 == len(self.tiles):
            return False
        self.tile, self.done = self.tile + 1, 0
        self._keep(self.tiles[self.tile])
        self.z = self.start[..., self.ids]
        unseen = self.hitting.run - 1 if self.hitting else 0
        self.low = self.z.new_zeros(unseen, len(self.ids), dtype=torch.bool)  # whether the last states were low
        self._observe()
        return True

    def _keep(self, ids: Int64[Tensor, " some"]) -> None:
        self.ids, chains = ids, len(self.energy)
        dynamics, schedule, steps = self._whole
        self.dynamics, self.schedule = chosen(dynamics, ids, chains), chosen(schedule, ids, chains)
        self.steps = steps[ids.cpu()]
        self.next_end = int(self.steps.min()) if len(ids) else 0

    def state(self) -> dict[str, Tensor]:
        names = ("z", "last", "energy", "records", "hit", "low", "ids")
        return {name: getattr(self, name) for name in names} | {"at": torch.tensor([self.tile, self.done])}

    def resume(self, saved: dict[str, Tensor]) -> None:
        self.tile, self.done = saved.pop("at").tolist()
        for name, value in saved.items():
            setattr(self, name, value)
        self._keep(self.ids)

    def advance(self, compiled: bool) -> None:
        """One block of steps: up to where a record is due or a chain ends."""
        n, d, chains = self.z.shape
        marks = [mark for mark in (*self.record_at, self.next_end) if mark > self.done]
        longest = min(_LONGEST_BLOCK, max(1, _NUMBERS // (n * d * chains * _FUSED)) * _FUSED)
        count = min(min(marks) - self.done, longest)
        time = (self.first + self.done + torch.arange(count, device=self.z.device)) * self.dynamics.dt
        beta = self.schedule(time.to(self.z.dtype)[:, None]).clamp_min(LOWEST_BETA).expand(-1, chains)
        name = self.seed, "noise", self.tile % self.per_group, self.first + self.done
        stream = generator(*name, device=self.z.device)
        xi = self._room(count, n, d, chains).normal_(generator=stream)
        chance = self.z.new_empty(count, chains).uniform_(generator=stream) if self.dynamics.uniforms else None
        before = []
        for k in range(0, count, _FUSED):
            part = slice(k, k + _FUSED)
            run = _compiled() if compiled and k + _FUSED <= count else _steps
            self.z, u = run(self.dynamics, self.z, xi[part], beta[part], None if chance is None else chance[part])
            before.append(u)
        if self.hitting:
            self._watch(torch.cat(before))
        self.done += count
        self._observe()
        self._retire()

    def _room(self, *shape: int) -> Tensor:
        """A tensor for random numbers in memory that is used again: new memory costs as much as half of them."""
        size = math.prod(shape)
        if len(self._memory) < size:
            self._memory = self.start.new_empty(size)
        return self._memory[:size].view(shape)

    def _observe(self) -> None:
        """Record U where it is due."""
        if self.done in self.record_at:
            self.records[self.record_at.index(self.done), self.ids] = self.dynamics.energy.value(self.z)

    def _watch(self, u: Float[Tensor, "count some"]) -> None:
        """Note where a run of low states began."""
        low = torch.cat([self.low, u < self.hitting.level])
        runs = low.unfold(0, self.hitting.run, 1).all(2)  # (count, some): state done - run + 1 + k begins one
        began = runs.int().argmax(0) + self.done - self.hitting.run + 1
        new = runs.any(0) & (self.hit[self.ids] < 0)
        self.hit[self.ids] = torch.where(new, began, self.hit[self.ids])
        self.low = low[len(u) :]

    def _retire(self) -> None:
        """Let go of chains that are at their end or have hit."""
        hit = None if self.hitting is None else self.hit[self.ids] >= 0
        many = hit is not None and float(hit.float().mean()) >= _SHARE_DONE
        if self.done < self.next_end and not many:
            return
        leaves = (self.steps == self.done).to(self.z.device)
        leaves = leaves if hit is None else leaves | hit
        ids = self.ids[leaves]
        self.last[..., ids] = self.z[..., leaves]
        self.energy[ids] = self.dynamics.energy.value(self.z)[leaves]
        self.z, self.low = self.z[..., ~leaves], self.low[:, ~leaves]
        self._keep(self.ids[~leaves])
