"""Data for the cross-leverage experiment: synthetic, real data that scikit-learn ships, and files of your own.

Loading never executes code from a file: text, ARFF and R data are parsed, nothing is unpickled.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from repro_shared.files import UserError
from trajectory_conv.designs import normalise


class Regression(NamedTuple):
    """A regression problem."""

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]


def synthetic() -> Regression:
    """The authors': make_regression(100, 1000, 15 informative, noise 1, random_state 0); X as it is, y standardised."""
    from sklearn.datasets import make_regression

    x, y = make_regression(n_samples=100, n_features=1000, n_informative=15, noise=1.0, random_state=0)
    return Regression(x, (y - y.mean()) / y.std())


def breast_cancer_quadratic(rows: Int[np.ndarray, " n"]) -> Regression:
    """Breast cancer (scikit-learn), the given rows: 30 features standardised, with squares and products d = 495.

    Columns centred and scaled to norm sqrt(n), labels standardised.
    """
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import PolynomialFeatures

    x, y = load_breast_cancer(return_X_y=True)
    x, y = standardised(x[rows]), y[rows].astype(float)
    return Regression(standardised(PolynomialFeatures(2, include_bias=False).fit_transform(x)), standardised(y))


def arcene(path: Path) -> Regression:
    """ARCENE (OpenML 1458; mass spectra, 200 x 10000) from a file of yours: .arff, or .csv with the label in the last
    column and names in the first line.

    Columns centred and scaled to norm sqrt(n) (constant ones become zero), labels standardised.

    Raises UserError when the file is absent or is not such a table.
    """
    from scipy.io import arff

    advice = "download ARCENE (OpenML data set 1458) as ARFF or CSV and give its path"
    path = _existing(path, advice)
    try:
        if path.suffix.lower() == ".arff":
            rows, _ = arff.loadarff(path)
            columns = [rows[name] for name in rows.dtype.names]
        else:
            import pandas as pd

            columns = [column for _, column in pd.read_csv(path).items()]
        x = np.column_stack([np.asarray(column, dtype=float) for column in columns[:-1]])
        labels = np.unique([str(label) for label in columns[-1]], return_inverse=True)[1]
    except Exception as error:  # parsers fail in many ways on files that are none of theirs
        raise UserError(
            f"{path} is not a table of numbers with a label in the last column ({_line(error)}): {advice}"
        ) from error
    return _standard_problem(path, x, labels)


def golub(path: Path) -> Regression:
    """Golub's leukaemia expressions (38 x 3051) from golub.RData, as the Debian package r-bioc-multtest has it.

    Raises UserError when the file is absent, is not that file, or `rdata` is not installed.
    """
    advice = "give the path of golub.RData (Debian's package r-bioc-multtest, or Bioconductor's multtest)"
    path = _existing(path, advice)
    try:
        import rdata
    except ImportError:
        raise UserError('reading R data needs the extra "golub": pip install "trajectory-conv[golub]"') from None
    try:
        content = rdata.conversion.convert(rdata.parser.parse_file(path))
        x, labels = np.asarray(content["golub"], dtype=float).T, np.asarray(content["golub.cl"], dtype=float)
    except Exception as error:  # parsers fail in many ways on files that are none of theirs
        raise UserError(f"{path} does not hold golub and golub.cl ({_line(error)}): {advice}") from error
    return _standard_problem(path, x, labels)


def standardised(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Centred columns of norm sqrt(n); constant ones become zero."""
    centred = values - values.mean(0)
    return normalise(np.where(np.abs(centred).max(0) > 1e-12 * np.abs(values).max(0), centred, 0.0))


def _line(error: Exception) -> str:
    """The message of an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _existing(path: Path, advice: str) -> Path:
    if not (path := Path(path)).is_file():
        raise UserError(f"no file {path}: {advice}")
    return path


def _standard_problem(path: Path, x, labels) -> Regression:
    if not (np.isfinite(x).all() and np.isfinite(labels).all()):
        raise UserError(f"{path} has missing or infinite entries: remove or fill them")
    if x.shape[0] != len(labels):
        raise UserError(f"{path} has {len(labels)} labels for {x.shape[0]} rows: it needs one per row")
    if (count := len(np.unique(labels))) != 2:
        raise UserError(f"{path} needs two different labels; found {count}")
    if not (x := standardised(x)).any():
        raise UserError(f"{path} has constant features only: there is nothing to learn from")
    return Regression(x, standardised(labels.astype(float)))
