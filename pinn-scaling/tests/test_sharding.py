"""Runs shared out over devices, and over machines, are the same runs: each test in processes of its own."""

import json
import os
import socket
import subprocess
import sys

import numpy as np

TRAIN = """
import json, os, sys
import jax
import pinn_scaling
if len(sys.argv) > 1:
    jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
from pinn_scaling.pdes import PDES
from pinn_scaling.training import Recipe, train
recipe = Recipe(steps=20, log_every=10, precision="float64")
trained = train(PDES["allen_cahn"], 8, [4.0, 16.0, 64.0], [1, 2, 3], recipe)
facts = {
    "devices": jax.device_count(),
    "local": jax.local_device_count(),
    "error": trained.error.tolist(),
    "w": trained.parameters.w.tolist(),
    "failed": trained.failed.tolist(),
}
print(json.dumps(facts))
"""


def start(*arguments, devices=1):
    """A process that trains three runs and prints what came out."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def facts(process):
    """What it has printed."""
    output, problems = process.communicate(timeout=240)
    assert process.returncode == 0, problems
    return json.loads(output.splitlines()[-1])


def assert_same_runs(one, other):
    assert one["failed"] == other["failed"] == [-1, -1, -1]
    for name in ("error", "w"):
        assert np.shape(one[name])[0] == 3  # the padding is gone
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12)


def test_two_devices_and_two_processes_give_the_runs_of_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    alone, two_devices = start(), start(devices=2)
    reference, split = facts(alone), facts(two_devices)
    assert (reference["devices"], split["devices"]) == (1, 2)
    assert_same_runs(reference, split)
    pair = [start(address, str(rank)) for rank in range(2)]
    for process in pair:
        found = facts(process)
        assert (found["devices"], found["local"]) == (2, 1)
        assert_same_runs(reference, found)
