"""Designs against their defining property, and the authors' stream against NumPy's global functions call by call."""

import numpy as np
import pytest

from trajectory_conv import designs, seeds
from trajectory_conv.designs import DESIGNS, KeyDraws, ReplayDraws, normalise, target

NORMALISED = sorted(set(DESIGNS) - {"partial_dct", "orthonormal", "diagonal"})
UNPUBLISHED = {"toeplitz_0.5", "block_ar1_0.9"}  # in none of the authors' runs: nothing to replay


def source(kind, seed=0):
    return ReplayDraws(seed) if kind == "replay" else KeyDraws(seeds.key(seed, "test"))


@pytest.fixture(params=["key", "replay"])
def draws(request):
    return source(request.param)


@pytest.fixture
def legacy():
    """NumPy's global stream, seeded with 0; put back as it was."""
    state = np.random.get_state()
    np.random.seed(0)
    yield np.random
    np.random.set_state(state)


def gram(matrix):
    return matrix.T @ matrix / len(matrix)


@pytest.mark.parametrize("kind", ["key", "replay"])
@pytest.mark.parametrize("name", NORMALISED)
def test_columns_have_norm_root_n(name, kind):
    matrix = DESIGNS[name](source(kind), 40, 60)
    assert matrix.shape == (40, 60) and matrix.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=0), np.sqrt(40), rtol=1e-14)


@pytest.mark.parametrize("kind", ["key", "replay"])
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_equal_seeds_give_equal_designs_and_different_ones_do_not(name, kind):
    first, again, other = (DESIGNS[name](source(kind, seed), 20, 20) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_zero_column_stays_zero():
    matrix = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, -1.0]])
    expected = np.sqrt(2) * np.array([[0.6, 0.0, np.sqrt(0.5)], [0.8, 0.0, -np.sqrt(0.5)]])
    np.testing.assert_allclose(normalise(matrix), expected, rtol=1e-15)


def test_gaussian_entries_have_the_moments_of_the_normal_law(draws):
    entries = draws.normal(200_000)
    moments = [np.mean(entries**power) for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=5 * np.sqrt(96 / 200_000))  # var x^4 = 96, the largest


def test_rademacher_has_both_signs_and_nothing_else(draws):
    matrix = designs.rademacher(draws, 100, 80)
    assert set(np.unique(matrix)) == {-1.0, 1.0}
    assert abs(matrix.mean()) < 5 / np.sqrt(matrix.size)


def test_uniform_entries_are_bounded_by_root_three_and_have_variance_one(draws, monkeypatch):
    monkeypatch.setattr(designs, "normalise", lambda matrix: matrix)
    matrix = designs.uniform(draws, 200, 300)
    assert -np.sqrt(3) <= matrix.min() < -1.73 and 1.73 < matrix.max() <= np.sqrt(3)
    assert matrix.var() == pytest.approx(1, abs=5 * np.sqrt(0.8 / matrix.size))


@pytest.mark.parametrize("density", [0.1, 0.25])
def test_sparse_binary_columns_have_their_share_of_equal_entries(draws, density):
    matrix = designs.sparse_binary(draws, 60, 50, density)
    count = int(density * 60)
    assert ((matrix != 0).sum(0) == count).all()
    np.testing.assert_allclose(np.abs(matrix[matrix != 0]), np.sqrt(60 / count), rtol=1e-14)
    assert len(np.unique(matrix, axis=1).T) == 50


def test_partial_dct_rows_are_cosines_and_orthogonal_with_l_equal_to_one(draws):
    n, d = 30, 60
    matrix = designs.partial_dct(draws, n, d)
    frequency, place = np.arange(d)[:, None], np.arange(d) + 0.5
    cosines = np.sqrt(2 / d) * np.cos(np.pi * frequency * place / d)
    cosines[0] /= np.sqrt(2)
    frequencies = np.abs(matrix @ cosines.T).argmax(1)
    assert len(set(frequencies)) == n
    np.testing.assert_allclose(matrix, np.sqrt(n) * cosines[frequencies], atol=1e-13)
    np.testing.assert_allclose(matrix @ matrix.T, n * np.eye(n), atol=1e-12)
    assert np.linalg.eigvalsh(gram(matrix))[-1] == pytest.approx(1, abs=1e-13)


def test_partial_dct_columns_are_not_normalised(draws):
    squares = (designs.partial_dct(draws, 30, 60) ** 2).sum(0)
    assert squares.mean() == pytest.approx(30**2 / 60, rel=1e-13)
    assert np.ptp(squares) > 1


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_any_two_columns_of_the_spiked_design_have_correlation_rho(draws, rho):
    off_diagonal = gram(designs.spiked(draws, 40_000, 5, rho))[~np.eye(5, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, rho, atol=5 / np.sqrt(40_000))


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_the_largest_eigenvalue_of_the_spiked_design_is_about_rho_d(draws, rho):
    assert np.linalg.eigvalsh(gram(designs.spiked(draws, 150, 200, rho)))[-1] == pytest.approx(rho * 200, rel=0.1)


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_columns_of_the_ar1_design_decorrelate_with_distance(draws, rho):
    distance = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    measured = gram(designs.ar1(draws, 40_000, 6, rho))
    np.testing.assert_allclose(measured, rho**distance, atol=8 / np.sqrt(40_000))


@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_singular_values_of_the_power_law_are_k_to_minus_decay_before_columns_are_scaled(draws, monkeypatch, decay):
    monkeypatch.setattr(designs, "normalise", lambda matrix: matrix)
    values = np.linalg.svd(designs.power_law(draws, 25, 40, decay), compute_uv=False)
    np.testing.assert_allclose(values, np.arange(1.0, 26) ** -decay, rtol=1e-12)


def test_the_low_rank_design_has_its_rank(draws):
    assert np.linalg.matrix_rank(DESIGNS["low_rank"](draws, 40, 60)) == 15
    assert np.linalg.matrix_rank(designs.low_rank(draws, 40, 60, 3)) == 3


def test_the_orthonormal_design_has_the_identity_as_gram_matrix(draws):
    np.testing.assert_allclose(gram(designs.orthonormal(draws, 40, 30)), np.eye(30), atol=1e-14)


def test_more_orthogonal_columns_than_rows_are_refused(draws):
    with pytest.raises(ValueError, match="choose n >= d"):
        designs.orthonormal(draws, 10, 11)


@pytest.mark.parametrize("s", [1, 7, 50])
def test_a_target_has_s_signs_and_zeros(draws, s):
    b = target(draws, 50, s)
    assert b.shape == (50,)
    assert (np.abs(b) == 1).sum() == s and (b == 0).sum() == 50 - s


def test_targets_vary_in_place_and_sign(draws):
    mean = np.mean([target(draws, 10, 5) for _ in range(400)], axis=0)
    places = np.mean([target(draws, 10, 5) != 0 for _ in range(400)], axis=0)
    np.testing.assert_allclose(mean, 0, atol=5 * np.sqrt(0.5 / 400))
    np.testing.assert_allclose(places, 0.5, atol=5 * np.sqrt(0.25 / 400))


def test_draws_from_a_key_do_not_repeat():
    draws = KeyDraws(seeds.key(0, "test"))
    entries = np.concatenate([draws.normal(100), draws.normal(100), draws.normal(10, 10).ravel()])
    assert len(np.unique(entries)) == 300
    assert not np.isin(draws.uniform(0.0, 1.0, 100), draws.uniform(0.0, 1.0, 100)).any()
    assert not np.array_equal(draws.signs(64), draws.signs(64))
    assert not np.array_equal(draws.subset(64, 32), draws.subset(64, 32))


def test_draws_have_their_scale_range_and_no_repetition_in_a_subset(draws):
    assert draws.normal(100_000, scale=3.0).std() == pytest.approx(3, rel=0.02)
    values = draws.uniform(2.0, 5.0, 10_000)
    assert 2 <= values.min() < 2.01 and 4.99 < values.max() < 5
    assert sorted(draws.subset(30, 30)) == list(range(30))


def test_the_replayed_stream_equals_the_global_functions_in_any_order_of_calls(legacy):
    draws = ReplayDraws(0)
    for _ in range(2):  # an odd number of normals leaves half a Box-Muller pair behind: it must be kept
        np.testing.assert_array_equal(draws.normal(3, 5), legacy.normal(size=(3, 5)))
        np.testing.assert_array_equal(draws.signs(4, 3), legacy.choice([-1, 1], size=(4, 3)))
        np.testing.assert_array_equal(draws.normal(7, scale=0.05), legacy.normal(0, 0.05, size=7))
        np.testing.assert_array_equal(draws.uniform(3.0, 5.0, 6), legacy.uniform(3.0, 5.0, size=6))
        np.testing.assert_array_equal(draws.subset(40, 9), legacy.choice(40, 9, replace=False))
        draws.skip_word()
        legacy.randint(0, 2**31 - 1)
    assert draws.normal(1) == legacy.normal(size=1)


def test_a_skipped_word_shifts_the_stream_by_one():
    skipped, straight = ReplayDraws(0), ReplayDraws(0)
    skipped.skip_word()
    straight.stream.randint(0, 2**32, dtype=np.uint32)
    np.testing.assert_array_equal(skipped.subset(50, 50), straight.subset(50, 50))
    assert not np.array_equal(skipped.subset(50, 50), ReplayDraws(0).subset(50, 50))


def author_design(random, name, n, d):
    """The authors' calls on NumPy's global stream (fact sheet, section 2), before columns are scaled."""
    kind, _, number = name.rpartition("_")
    if name == "rademacher":
        return random.choice([-1, 1], size=(n, d)).astype(float)
    if name == "uniform":
        return random.uniform(-np.sqrt(3), np.sqrt(3), size=(n, d))
    if name == "sparse_binary":
        matrix = np.zeros((n, d))
        for j in range(d):
            rows = random.choice(n, int(0.1 * n), replace=False)
            matrix[rows, j] = random.choice([-1, 1], size=int(0.1 * n))
        return matrix
    if kind == "spiked":
        shared = random.normal(size=(n, 1))
        return np.sqrt(float(number)) * shared + np.sqrt(1 - float(number)) * random.normal(size=(n, d))
    if kind == "ar1":
        columns = [random.normal(size=n)]
        for _ in range(d - 1):
            columns.append(float(number) * columns[-1] + random.normal(0, np.sqrt(1 - float(number) ** 2), size=n))
        return np.column_stack(columns)
    if name == "low_rank":
        left, right = random.normal(size=(n, 15)), random.normal(size=(d, 15))
        return left @ right.T
    return random.normal(size=(n, d))


@pytest.mark.parametrize("name", sorted(set(NORMALISED) - {"power_law"} - UNPUBLISHED))
def test_a_replayed_design_and_its_target_are_the_authors_bit_by_bit(legacy, name):
    draws, expected = ReplayDraws(0), np.zeros(50)
    np.testing.assert_array_equal(DESIGNS[name](draws, 30, 50), normalise(author_design(legacy, name, 30, 50)))
    support = legacy.choice(50, 6, replace=False)
    expected[support] = legacy.choice([-1, 1], size=6) * 1.0
    np.testing.assert_array_equal(target(draws, 50, 6), expected)


def test_a_replayed_partial_dct_takes_the_rows_that_the_authors_took(legacy):
    from scipy.fft import dct

    rows = legacy.choice(50, 30, replace=False)
    expected = np.sqrt(30) * dct(np.eye(50), type=2, axis=0, norm="ortho")[rows]
    np.testing.assert_array_equal(DESIGNS["partial_dct"](ReplayDraws(0), 30, 50), expected)


def test_the_diagonal_design_has_a_diagonal_gram_matrix():
    matrix = DESIGNS["diagonal"](source("key"), 60, 40)
    np.testing.assert_allclose(gram(matrix), np.diag(np.linspace(1, 0.01, 40)), atol=1e-13)


@pytest.mark.parametrize("name, correlation", [("toeplitz_0.5", 0.5), ("block_ar1_0.9", 0.9)])
def test_neighbours_are_correlated_as_said_and_blocks_are_independent(name, correlation):
    found = gram(DESIGNS[name](source("key"), 20_000, 20))
    distance = np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    expected = correlation**distance
    if name == "block_ar1_0.9":
        expected[:10, 10:] = expected[10:, :10] = 0.0
    np.testing.assert_allclose(found, expected, atol=0.05)
