"""Named streams: the name and the seed decide, nothing else does."""

import pytest
import torch

from infonce_langevin.seeds import generator


def numbers(*name, seed=0):
    return torch.randn(8, generator=generator(seed, *name))


def test_equal_names_give_equal_streams_whatever_the_global_one_does():
    expected = numbers("views", 1)
    torch.manual_seed(5)
    assert torch.equal(numbers("views", 1), expected)


def test_a_stream_does_not_depend_on_how_much_another_one_has_drawn():
    first, second = generator(0, "init"), generator(0, "views")
    torch.randn(1000, generator=first)
    assert torch.equal(torch.randn(8, generator=second), numbers("views"))


def test_making_and_using_a_stream_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    numbers("views")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("init",), ("views",)),
        (("probe",), ("probe", "class")),
        (("probe", "class", "z"), ("probe", "z", "class")),
        (("chunk", 1), ("chunk", 2)),
        ((), ("init",)),
    ],
)
def test_different_names_give_different_streams(first, second):
    assert not torch.isin(numbers(*first), numbers(*second)).any()


def test_different_seeds_give_different_streams():
    assert not torch.isin(numbers("init", seed=0), numbers("init", seed=1)).any()
    assert not torch.isin(numbers(11, seed=1), numbers(1, seed=11)).any()


def test_a_thousand_names_and_seeds_give_a_thousand_streams():
    seeds = {generator(seed, "probe", i).initial_seed() for seed in range(10) for i in range(100)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)


def test_names_mean_the_same_in_every_process_and_version():
    """Python's own hash is salted: a recorded cell could not be had again."""
    first_bytes = "2a29a3e290b9715c"  # printf 0/init | sha256sum
    assert generator(0, "init").initial_seed() == int.from_bytes(bytes.fromhex(first_bytes), "little") >> 1
