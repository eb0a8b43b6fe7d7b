"""Named streams: the name and the seed decide, nothing else does."""

import jax
import numpy as np
import pytest

from trajectory_conv.seeds import key


def numbers(*name, seed=0):
    return np.asarray(jax.random.normal(key(seed, *name), (8,)))


def test_equal_names_give_equal_streams():
    np.testing.assert_array_equal(numbers("noise", "gaussian"), numbers("noise", "gaussian"))


def test_a_stream_does_not_depend_on_how_much_another_one_has_drawn():
    expected = numbers("noise")
    jax.random.normal(key(0, "design"), (1000,))
    np.testing.assert_array_equal(numbers("noise"), expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("noise",), ("design",)),
        (("noise",), ("noise", "gaussian")),
        (("noise", "gaussian"), ("gaussian", "noise")),
        (("trial", 1), ("trial", 2)),
        ((), ("noise",)),
    ],
)
def test_different_names_give_different_streams(first, second):
    assert not np.isin(numbers(*first), numbers(*second)).any()


def test_different_seeds_give_different_streams():
    assert not np.isin(numbers("noise", seed=0), numbers("noise", seed=1)).any()


def test_a_thousand_names_and_seeds_give_a_thousand_keys():
    keys = {tuple(jax.random.key_data(key(seed, "trial", i)).tolist()) for seed in range(10) for i in range(100)}
    assert len(keys) == 1000
