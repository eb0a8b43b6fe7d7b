"""A trained network as a scikit-learn classifier: `fit` shows it a context, `predict` asks it. Nothing is trained.

    classifier = ICLClassifier("checkpoint.safetensors").fit(X, y)
    classifier.decision_function(X_new)        # logits: log-odds of classes_[1], as the network has learned them

The network has learned one family of problems, for task A Gaussian classes of unit covariance whose means are 2 apart
in `d` dimensions, so that is what it answers well. Inputs are not standardised for it.
"""

import copy

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from torch.nn import functional as F

from icl_lrt.checkpoints import load
from icl_lrt.model import Transformer

_QUERIES = 128
"""Asked at once."""


def centred(
    x: Float[Tensor, "batch n d"], query: Float[Tensor, "batch m d"]
) -> tuple[Float[Tensor, "batch n d"], Float[Tensor, "batch m d"]]:
    """Context and queries minus the context's mean.

    Any rule of them is translation-equivariant: its answers do not change when the same vector is added to all inputs,
    so for task A they do not depend on sigma_k at all.
    """
    mean = x.mean(1, keepdim=True)
    return x - mean, query - mean


def rescaled(
    x: Float[Tensor, "batch n d"], query: Float[Tensor, "batch m d"], rms: float
) -> tuple[Float[Tensor, "batch n d"], Float[Tensor, "batch m d"]]:
    """Context and queries times one factor, which gives the context's coordinates the root mean square `rms`.

    The analogue for scale: answers do not change when all inputs are multiplied by the same c > 0. The prior of task B
    has E[sigma^2] = (low^2 + low high + high^2) / 3, for the published one 1.89^2.
    """
    scale = x.square().mean((1, 2), keepdim=True).sqrt()
    if not (scale > 0).all():
        raise ValueError("a context of zeros has no scale: show other points, or leave the scale alone")
    return x * (rms / scale), query * (rms / scale)


class ICLClassifier(ClassifierMixin, BaseEstimator):
    """In-context classifier for two classes, whatever their labels.

    model: a `Transformer`, or the path of a checkpoint of one.
    centred: subtract the context's mean from all inputs, which makes the answers translation-equivariant.
    rms: bring the context's coordinates to this root mean square (after centring), which makes them scale-equivariant.
    None: leave the scale alone.

    Up to `d` features, the network's input dimension: fewer are filled up with zeros, which changes no distance and no
    inner product. A network with positions takes no more points than it has positions for, and has learned from exactly
    so many. A masked network encodes the context once, in `fit`; another one anew for every query. Works in float64, on
    the network's device: the answer to a query does not depend on what else is asked.
    """

    classes_: np.ndarray
    """The two labels, sorted."""
    n_features_in_: int
    model_: Transformer
    """A copy."""

    def __init__(self, model, *, centred=False, rms=None):
        self.model = model
        self.centred = centred
        self.rms = rms

    def fit(self, X, y):  # noqa: N803 (scikit-learn's names)
        """Keep X (n, features) and y (n,) as the context."""
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(f"y has one class, {self.classes_[0]!r}: show points of two")
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}: wrap it in "
                "sklearn.multiclass.OneVsRestClassifier"
            )
        if self.rms is not None and not self.rms > 0:
            raise ValueError(f"rms = {self.rms}: choose a root mean square > 0, or None")
        self.model_ = self._load()
        d = self.model_.architecture.d
        if X.shape[1] > d:
            raise ValueError(f"{X.shape[1]} features for a network of {d} inputs: project them to at most {d}")
        self._x = torch.tensor(X)[None]
        self._y = torch.tensor(codes)[None].to(self.model_.head.weight)
        x, _ = self._inputs(self._x)
        with torch.no_grad():
            if self.model_.architecture.masked:
                self._encoded = self.model_.encode(x, self._y)
            else:
                self.model_.embed_context(x, self._y)  # refuses more points than positions
        return self

    @torch.no_grad()
    def decision_function(self, X) -> Float[np.ndarray, " m"]:  # noqa: N803
        """The network's logit for each row: its log-odds of `classes_[1]`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        x, query = self._inputs(torch.tensor(X)[None])
        found = []
        for part in query.split(_QUERIES, 1):
            if self.model_.architecture.masked:
                found.append(self.model_.decode(self._encoded, part, x.shape[1]))
            else:
                found.append(self.model_(x, self._y, part))
        return torch.cat(found, 1)[0].numpy(force=True)

    def predict_proba(self, X) -> Float[np.ndarray, "m 2"]:  # noqa: N803
        """Probabilities of the two classes: sigmoid of the logit."""
        logit = torch.from_numpy(self.decision_function(X))
        return torch.stack([(-logit).sigmoid(), logit.sigmoid()], 1).numpy()

    def predict(self, X) -> np.ndarray:  # noqa: N803
        """`classes_[1]` where the logit is > 0."""
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(int)]

    def _inputs(self, query: Float[Tensor, "1 m features"]) -> tuple[Tensor, Tensor]:
        """Context and queries as the network takes them."""
        x = self._x
        if self.centred:
            x, query = centred(x, query)
        if self.rms is not None:
            x, query = rescaled(x, query, self.rms)
        fill = self.model_.architecture.d - x.shape[-1]
        weight = self.model_.head.weight
        return F.pad(x, (0, fill)).to(weight), F.pad(query, (0, fill)).to(weight)

    def _load(self) -> Transformer:
        given = isinstance(self.model, Transformer)
        return (copy.deepcopy(self.model) if given else load(self.model)).double()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
