"""Data sets: what is loaded is what the file says, and every file that cannot be used ends in one line of advice."""

import gzip
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_regression

from repro_shared import UserError
from trajectory_conv.data import arcene, breast_cancer_quadratic, golub, standardised, synthetic

TABLE = np.array([[1.0, 5.0, 2.5], [2.0, 5.0, -1.0], [4.0, 5.0, 0.0], [-1.5, 5.0, 1e3]])
LABELS = ["1", "-1", "-1", "1"]
HEADER = (
    "@relation arcene\n@attribute V1 numeric\n@attribute V2 numeric\n@attribute V3 numeric\n@attribute Class {-1,1}\n"
)


def rows(table=TABLE, labels=LABELS):
    return [[*map(repr, map(float, row)), label] for row, label in zip(table, labels, strict=True)]


def csv(lines):
    return "V1,V2,V3,Class\n" + "".join(",".join(line) + "\n" for line in lines)


def arff(lines):
    return "@relation arcene\n" + HEADER + "@data\n" + "".join(",".join(line) + "\n" for line in lines)


def refusal(load, path):
    """The one line that a file is refused with; it names the file or what is missing."""
    with pytest.raises(UserError) as error:
        load(path)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_standardised_columns_are_centred_and_have_norm_root_n():
    values = np.random.default_rng(0).normal(3.0, 5.0, size=(50, 4))
    found = standardised(values)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), np.sqrt(50), rtol=1e-14)
    np.testing.assert_allclose(found, (values - values.mean(0)) / values.std(0), rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 / 3, -7.0])
def test_a_constant_column_becomes_zero_in_spite_of_rounding(constant):
    found = standardised(np.column_stack([np.full(37, constant), np.arange(37.0)]))
    np.testing.assert_array_equal(found[:, 0], 0)
    assert np.linalg.norm(found[:, 1]) == pytest.approx(np.sqrt(37))


def test_a_vector_is_standardised_as_one_column():
    values = np.array([0.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(standardised(values), [-1, 1, 1, -1], rtol=1e-15)


def test_the_synthetic_problem_is_the_authors_call():
    x, y = make_regression(n_samples=100, n_features=1000, n_informative=15, noise=1.0, random_state=0)
    found = synthetic()
    np.testing.assert_array_equal(found.x, x)  # not normalised, as in their runs
    np.testing.assert_allclose(found.y, (y - y.mean()) / y.std(), rtol=1e-14)


def test_breast_cancer_has_features_squares_and_products_in_standard_units():
    chosen = np.random.default_rng(0).permutation(569)[:150]
    x, y = breast_cancer_quadratic(chosen)
    assert x.shape == (150, 495) and y.shape == (150,)
    np.testing.assert_allclose(np.linalg.norm(x, axis=0), np.sqrt(150), rtol=1e-13)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    raw, labels = load_breast_cancer(return_X_y=True)
    np.testing.assert_allclose(x[:, :30], standardised(raw[chosen]), rtol=1e-9, atol=1e-11)
    product = standardised(raw[chosen])[:, 0] * standardised(raw[chosen])[:, 1]
    np.testing.assert_allclose(x[:, 31], (product - product.mean()) / product.std(), rtol=1e-9, atol=1e-11)
    assert np.array_equal(y > 0, labels[chosen] == 1) and np.linalg.norm(y) == pytest.approx(np.sqrt(150))


def test_breast_cancer_is_the_same_for_equal_rows():
    first, again, other = (breast_cancer_quadratic(np.arange(start, start + 60)) for start in (0, 0, 100))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize(("name", "write"), [("arcene.arff", arff), ("ARCENE.ARFF", arff), ("arcene.csv", csv)])
def test_arcene_is_recovered_from_arff_and_csv(tmp_path, name, write):
    (tmp_path / name).write_text(write(rows()))
    x, y = arcene(tmp_path / name)
    np.testing.assert_allclose(x, standardised(TABLE), rtol=1e-14)
    np.testing.assert_array_equal(x[:, 1], 0)  # constant
    np.testing.assert_array_equal(y * np.sign(y[0]), [1, -1, -1, 1])


def test_labels_may_be_words(tmp_path):
    (tmp_path / "arcene.csv").write_text(csv(rows(labels=["cancer", "healthy", "healthy", "cancer"])))
    np.testing.assert_allclose(np.abs(arcene(tmp_path / "arcene.csv").y), 1)


NAN = [["nan", "5", "1", "1"], *rows()[1:]]
UNUSABLE = {
    "text in a column": ("arcene.csv", csv([["red", "5", "1", "1"], *rows()[1:]])),
    "text in a column of an ARFF": ("arcene.arff", arff([["red", "5", "1", "1"], *rows()[1:]])),
    "a label that the header does not know": ("arcene.arff", arff([["1", "5", "1", "2"], *rows()[1:]])),
    "a row that is too long": ("arcene.csv", csv([*rows(), ["1", "2", "3", "4", "5"]])),
    "a row that is too short": ("arcene.arff", arff([["1", "5"], *rows()[1:]])),
    "no data": ("arcene.csv", ""),
    "no header": ("arcene.arff", "1,2,3,1\n"),
    "a text attribute": ("arcene.arff", arff(rows()).replace("V2 numeric", "V2 string")),
    "a malformed attribute": ("arcene.arff", arff(rows()).replace("V2 numeric", "V2 5")),
    "one column": ("arcene.csv", "Class\n1\n-1\n"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_file_that_is_no_table_is_refused_with_advice(tmp_path, what):
    name, text = UNUSABLE[what]
    (tmp_path / name).write_text(text)
    message = refusal(arcene, tmp_path / name)
    assert str(tmp_path / name) in message and "download ARCENE" in message


def test_a_file_that_is_not_text_is_refused_with_advice(tmp_path):
    for name in ("arcene.csv", "arcene.arff"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x01")
        assert "download ARCENE" in refusal(arcene, tmp_path / name)


@pytest.mark.parametrize("entry", ["nan", "", "inf"])
def test_missing_entries_are_refused(tmp_path, entry):
    (tmp_path / "arcene.csv").write_text(csv([[entry, "5", "1", "1"], *rows()[1:]]))
    assert "remove or fill" in refusal(arcene, tmp_path / "arcene.csv")


def test_missing_entries_of_an_arff_are_refused(tmp_path):
    (tmp_path / "arcene.arff").write_text(arff([["?", "5", "1", "1"], *rows()[1:]]))
    assert "remove or fill" in refusal(arcene, tmp_path / "arcene.arff")


@pytest.mark.parametrize(("labels", "count"), [(["1"] * 4, 1), (["1", "2", "3", "1"], 3)])
def test_a_problem_without_two_classes_is_refused_with_their_number(tmp_path, labels, count):
    (tmp_path / "arcene.csv").write_text(csv(rows(labels=labels)))
    assert f"found {count}" in refusal(arcene, tmp_path / "arcene.csv")


def test_constant_features_are_nothing_to_learn_from(tmp_path):
    (tmp_path / "arcene.csv").write_text(csv([["5", "5", "1", label] for label in "0101"]))
    assert "constant features only" in refusal(arcene, tmp_path / "arcene.csv")


@pytest.mark.parametrize("load", [arcene, golub])
def test_an_absent_file_is_named_with_the_place_to_get_it(tmp_path, load):
    message = refusal(load, tmp_path / "absent")
    assert str(tmp_path / "absent") in message and "give" in message
    assert "give" in refusal(load, tmp_path)  # a folder


EXPRESSIONS = np.random.default_rng(0).normal(size=(7, 4))  # genes x patients, as in R


def fake_rdata(monkeypatch, content):
    """An `rdata` that finds `content`; an exception is raised instead."""

    def convert(parsed):
        if isinstance(content, Exception):
            raise content
        return content

    fake = SimpleNamespace(
        parser=SimpleNamespace(parse_file=lambda path: path), conversion=SimpleNamespace(convert=convert)
    )
    monkeypatch.setitem(sys.modules, "rdata", fake)


@pytest.fixture
def r_file(tmp_path):
    path = tmp_path / "golub.RData"
    path.write_bytes(b"RDX2")
    return path


def assert_is_golub(found):
    np.testing.assert_allclose(found.x, standardised(EXPRESSIONS.T), rtol=1e-14)
    np.testing.assert_allclose(found.y, [-1, 1, 1, -1], rtol=1e-15)


def test_golub_has_patients_as_rows(r_file, monkeypatch):
    fake_rdata(monkeypatch, {"golub": EXPRESSIONS, "golub.cl": np.array([0, 1, 1, 0]), "golub.gnames": None})
    assert_is_golub(golub(r_file))


def test_golub_is_read_from_r_data(tmp_path):
    rdata = pytest.importorskip("rdata")
    path = tmp_path / "golub.RData"
    rdata.write_rda(path, {"golub": EXPRESSIONS, "golub.cl": np.array([0.0, 1.0, 1.0, 0.0])})
    assert_is_golub(golub(path))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_r_data_is_refused_with_advice(tmp_path):
    rdata = pytest.importorskip("rdata")
    path = tmp_path / "golub.RData"
    rdata.write_rda(path, {"golub": EXPRESSIONS, "golub.cl": np.array([0.0, 1.0, 1.0, 0.0])})
    whole = path.read_bytes()
    plain = gzip.decompress(whole)
    scrambled = whole[:60] + b"x" * 12 + whole[72:]
    for content in (b"", b"text", whole[:100], scrambled, plain[:200], plain[:40] + b"\xff" * 200):
        path.write_bytes(content)
        assert "give the path of golub.RData" in refusal(golub, path)


@pytest.mark.parametrize(
    "content",
    [
        {"other": EXPRESSIONS},
        {"golub": EXPRESSIONS},
        {"golub": np.array([["a", "b"]]), "golub.cl": np.zeros(2)},
        EXPRESSIONS,  # one object, as in an .rds file
        NotImplementedError("Unknown file format"),
        IndexError("list index out of range"),
    ],
    ids=["other objects", "no labels", "text", "one object", "unknown format", "damaged"],
)
def test_r_data_that_is_not_golub_is_refused_with_advice(r_file, monkeypatch, content):
    fake_rdata(monkeypatch, content)
    message = refusal(golub, r_file)
    assert str(r_file) in message and "give the path of golub.RData" in message


@pytest.mark.parametrize("labels", [np.zeros(4), np.array([0.0, 1.0]), np.array([0.0, 1.0, np.nan, 1.0])])
def test_golub_labels_that_do_not_fit_are_refused(r_file, monkeypatch, labels):
    fake_rdata(monkeypatch, {"golub": EXPRESSIONS, "golub.cl": labels})
    assert str(r_file) in refusal(golub, r_file)


def test_without_rdata_the_extra_is_named(r_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdata", None)
    assert 'pip install "trajectory-conv[golub]"' in refusal(golub, r_file)
