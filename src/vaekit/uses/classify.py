"""Classify: the probability of each class, by a model with a latent for it, or by a classifier taught on its codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from vaekit.common.chunks import ROWS, by_rows
from vaekit.common.errors import DataError, UsageError
from vaekit.common.registry import Registry
from vaekit.core import VAE, Batch, Deterministic, Latent
from vaekit.core.context import as_given
from vaekit.core.order import depending_on
from vaekit.objectives.enumeration import infer, listed, posterior_before_others
from vaekit.train.means import evaluating
from vaekit.train.rows.labels import LABEL
from vaekit.uses.alone import each_alone
from vaekit.uses.encode import encode

DRAWS = 16
"""Draws of the latents that the posterior of the class reads, where it reads any."""


def classify(model: VAE, batch: Batch, latent: str = LABEL, samples: int = 0, seed: int = 0) -> Tensor:
    r"""The probability of each value of a discrete latent y for each row, `(n, classes)`.

    .. math:: q(y \mid x) \quad\text{or, from K samples,}\quad p(y \mid x) \propto
        \frac{1}{K} \sum_k \frac{p(x, y, z_k)}{q(z_k \mid x, y)}, \qquad z_k \sim q(z \mid x, y)

    The second is what the generative model believes, by importance sampling: for K without end Bayes' rule itself,
    however good the posterior is. The first is what was trained to tell. The answer to a row does not depend on the
    rows beside it.

    Args:
        model: a model with such a latent: of the recipes m2, m1_m2, adgm, smooth_gm_vae, or one of yours.
        batch: rows `(n, *event)`, and the conditions beside them.
        latent: the name of y.
        samples: K; with 0 it is q(y | x).
        seed: of the draws.

    Raises `UsageError` for a model without such a latent, for which there is `taught`.

    Sources: Kingma, Rezende, Mohamed and Welling, 2014; Burda, Grosse and Salakhutdinov, 2016 (the estimate).

    >>> from vaekit.recipes import build
    >>> model, x = build("m2", (6,), labels=3).model, torch.rand(5, 6)
    >>> classify(model, Batch(x), samples=10).shape
    torch.Size([5, 3])
    """
    refuse_no_class(model, latent)
    known = Batch(batch.x, {name: value for name, value in batch.given.items() if name != latent})
    work = importance_weighted(model, latent, samples) if samples else trained(model, latent)
    with evaluating(model):
        if samples or reads_draws(model, latent):
            return torch.cat([each_alone(lambda one: work(one)[0], part, seed) for part in known.split(ROWS)])
        return by_rows(work, known)


def refuse_no_class(model: VAE, latent: str) -> None:
    """Refuse a model that has no latent of this name."""
    names = [name for name, _ in model.latents()]
    if latent not in names:
        has = ", ".join(map(repr, names)) or "none"
        raise UsageError(f"the model has no latent {latent!r}, but {has}: name one, or teach a classifier on its codes")


def reads_draws(model: VAE, latent: str) -> bool:
    """Whether the posterior of a latent reads another latent that is drawn, directly or through what is computed."""
    reads = {name: part.posterior.given for name, part in model.latents()}
    reads |= {name: part.given for name, part in model.parts.items() if isinstance(part, Deterministic)}
    return any(latent in depending_on(other, reads) for other, _ in model.latents() if other != latent)


Work = Callable[[Batch], Tensor]
"""From rows to the probabilities of their classes, `(n, classes)`."""


def posterior_of_class(model: VAE, latent: str, batch: Batch, samples: int = DRAWS) -> Distribution:
    """q(y | x, ...): of one sample, or where it reads draws of so many."""
    context = as_given({"x": batch.x, **batch.given})
    if not reads_draws(model, latent):
        return posterior_before_others(model, latent, context)
    infer(model, model.inference_order[: model.inference_order.index(latent)], context, samples)
    posterior: Distribution = of(model, latent).posterior(context)
    return posterior


def trained(model: VAE, latent: str) -> Work:
    """q(y | x): the mean of q(y | x, ...) over draws of the latents that it reads."""

    def probabilities(batch: Batch) -> Tensor:
        posterior = posterior_of_class(model, latent, batch)
        log_q = posterior.log_prob(listed(posterior, latent).unsqueeze(1).unsqueeze(1))
        return log_q.exp().mean(1).expand(-1, len(batch)).T

    return probabilities


def importance_weighted(model: VAE, latent: str, samples: int) -> Work:
    """p(y | x), from an estimate of p(x, y) for each y."""
    if samples < 1:
        raise UsageError(f"{samples} samples: an estimate of p(y | x) needs at least 1")

    def probabilities(batch: Batch) -> Tensor:
        values = listed(posterior_of_class(model, latent, batch, samples=1), latent)
        log_joint = [log_evidence_with(model, batch, latent, value, samples) for value in values]
        return torch.stack(log_joint, dim=1).softmax(1)

    return probabilities


def log_evidence_with(model: VAE, batch: Batch, latent: str, value: Tensor, samples: int) -> Tensor:
    """The log of the mean importance weight, which estimates log p(x, y), at one value of y, `(n,)`."""
    given = {**batch.given, latent: value.expand(len(batch), *value.shape)}
    log_weight = model.trace(batch.x, samples, given).log_weight.expand(samples, len(batch))
    mean: Tensor = log_weight.double().logsumexp(0).float()
    return mean


def of(model: VAE, latent: str) -> Latent:
    """The latent of this name."""
    part = model.parts[latent]
    assert isinstance(part, Latent)
    return part


class Classifier(Protocol):
    """A classifier as scikit-learn has them."""

    classes_: NDArray[Any]

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Any:
        """Learn from codes and their labels."""
        ...

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        """The probability of each of its classes."""
        ...


def logistic() -> Classifier:
    """Logistic regression on standardised codes."""
    return _on_standardised(import_module("sklearn.linear_model").LogisticRegression(max_iter=2000))


def support_vectors() -> Classifier:
    """A support vector machine with a Gaussian kernel on standardised codes, with Platt's probabilities."""
    machine = import_module("sklearn.svm").SVC(C=10.0)
    calibrated = import_module("sklearn.calibration").CalibratedClassifierCV(machine, ensemble=False, cv=3)
    return _on_standardised(calibrated)


def neighbours() -> Classifier:
    """The votes of the 5 nearest labelled codes."""
    return _on_standardised(import_module("sklearn.neighbors").KNeighborsClassifier(5))


def _on_standardised(classifier: Any) -> Classifier:
    scaler = import_module("sklearn.preprocessing").StandardScaler()
    pipeline: Classifier = import_module("sklearn.pipeline").make_pipeline(scaler, classifier)
    return pipeline


CODE_CLASSIFIERS: Registry[Callable[[], Classifier]] = Registry(
    "classifier of codes", {"logistic": logistic, "svm": support_vectors, "neighbours": neighbours}
)


@dataclass(frozen=True)
class Taught:
    """A classifier taught on the codes of labelled rows: from rows to probabilities, `(n, classes)`."""

    model: VAE
    latent: str
    classifier: Classifier
    classes: int

    def __call__(self, batch: Batch) -> Tensor:
        codes = vectors(self.model, batch, self.latent)
        probabilities = torch.zeros(len(batch), self.classes)
        known = torch.as_tensor(self.classifier.classes_, dtype=torch.int64)
        probabilities[:, known] = torch.as_tensor(self.classifier.predict_proba(codes), dtype=torch.float32)
        return probabilities


def taught(
    model: VAE, batch: Batch, y: Tensor, latent: str = "z", classifier: str | Classifier = "logistic", classes: int = 0
) -> Taught:
    """Teach a classifier on the posterior means of the rows with a label, as with the model M1.

    Args:
        model: any model; it is not changed.
        batch: rows `(n, *event)`.
        y: labels `(n,)`, numbered from 0; -1 or NaN where missing.
        latent: whose codes.
        classifier: a name of `CODE_CLASSIFIERS`, or any of scikit-learn's with `predict_proba`.
        classes: how many there are; one more than the largest label if not given.

    Raises `DataError` for labels of fewer than two classes.

    Source: Kingma, Rezende, Mohamed and Welling, 2014 (M1).

    >>> from vaekit.recipes import build
    >>> x, y = torch.rand(30, 6), torch.arange(30) % 3 - 1
    >>> taught(build("m1", (6,), latent=2).model, Batch(x), y)(Batch(x[:4])).shape
    torch.Size([4, 2])
    """
    refuse_no_class(model, latent)
    told = torch.nan_to_num(torch.as_tensor(y).double(), nan=-1.0).long().cpu()
    known = told >= 0
    if len(set(told[known].tolist())) < 2:
        raise DataError(f"labels of {len(set(told[known].tolist()))} classes: a classifier is taught on at least 2")
    learner = CODE_CLASSIFIERS[classifier]() if isinstance(classifier, str) else classifier
    rows = known.to(batch.x.device)
    labelled = Batch(batch.x[rows], {name: value[rows] for name, value in batch.given.items()})
    learner.fit(vectors(model, labelled, latent), told[known].numpy())
    return Taught(model, latent, learner, classes or int(told.max()) + 1)


def vectors(model: VAE, batch: Batch, latent: str) -> NDArray[np.float64]:
    """The posterior means of a latent as vectors of float64, `(n, d)`."""
    with evaluating(model):
        return encode(model, batch, latent).flatten(1).double().cpu().numpy()
