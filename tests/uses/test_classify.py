"""Classify: Bayes' rule where it is known, and few labels with many rows beside few labels alone."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.svm import SVC
from torch import Tensor, nn

from core.linear_gaussian import LinearNormal, conditioned
from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.data import Dataset, Encoding, Greys
from vaekit.families import Known, Normal, OneHot
from vaekit.priors import classes, standard_normal
from vaekit.recipes import build
from vaekit.train import Resident, Settings, train
from vaekit.uses.classify import CODE_CLASSIFIERS, classify, taught

K, X, Z, NOISE = 3, 4, 2, 0.7
CPU = torch.device("cpu")


class Classes:
    """p(y) uniform, p(z) = N(0, I), p(x | y, z) = N(W z + M y, s^2 I): p(y | x) is known."""

    def __init__(self, widening: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        W = torch.randn(X, Z, generator=generator).double()
        M = torch.randn(X, K, generator=generator).double()
        self.M, self.covariance = M, W @ W.T + NOISE**2 * torch.eye(X).double()
        exact = conditioned(torch.zeros(Z).double(), torch.eye(Z).double(), W, torch.zeros(X).double(), NOISE)
        posterior = LinearNormal(torch.cat([exact.A, -exact.A @ M], 1), exact.b, widening * exact.L)
        decoder = LinearNormal(torch.cat([W, M], 1), torch.zeros(X).double(), NOISE * torch.eye(X).double())
        torch.manual_seed(1)
        label = Latent(classes(K), Parametric(nn.Linear(X, K), OneHot(), "x"))
        z = Latent(standard_normal(Z), posterior.full_normal(("x", "y")))
        self.model = VAE(decoder.normal(("z", "y")), y=label, z=z).double()
        self.x = torch.randn(20, X, generator=generator).double() * 2

    def truth(self) -> Tensor:
        """p(y | x), (n, K)."""
        density = torch.distributions.MultivariateNormal(self.M.T, self.covariance)
        return density.log_prob(self.x.unsqueeze(1)).softmax(1)


def test_with_the_exact_posterior_of_z_one_sample_is_bayes_rule() -> None:
    known = Classes()
    torch.testing.assert_close(
        classify(known.model, Batch(known.x), samples=1).double(), known.truth(), rtol=0, atol=1e-4
    )


def test_with_another_posterior_it_comes_to_bayes_rule_with_samples() -> None:
    known = Classes(widening=1.3)
    found = torch.stack([classify(known.model, Batch(known.x), samples=2000, seed=seed) for seed in range(8)]).double()
    error = found.std(0) / 8**0.5
    assert ((found.mean(0) - known.truth()).abs() <= 6 * error + 1e-3).all()
    assert (classify(known.model, Batch(known.x)).double() - known.truth()).abs().max() > 0.2


def test_without_samples_it_is_what_the_posterior_says() -> None:
    known = Classes()
    label = known.model.parts["y"].posterior  # type: ignore[union-attr]
    expected = label({"x": known.x.unsqueeze(0)}).mean[0]  # type: ignore[operator]
    torch.testing.assert_close(classify(known.model, Batch(known.x)), expected)


def test_the_answer_to_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    model = build("adgm", (6,), latent=2, labels=3).model
    x = torch.rand(9, 6)
    for samples in (0, 5):
        whole = classify(model, Batch(x), samples=samples, seed=2)
        torch.testing.assert_close(whole[4:6], classify(model, Batch(x[4:6]), samples=samples, seed=2))
        torch.testing.assert_close(whole.sum(1), torch.ones(9))


def test_what_is_known_of_the_class_is_not_told() -> None:
    """Labels beside rows do not make the answer."""
    model, x = build("m2", (6,), latent=2, labels=3).model, torch.rand(4, 6)
    told = Batch(x, {"y": torch.eye(3)[[0, 1, 2, 0]]})
    torch.testing.assert_close(classify(model, told), classify(model, Batch(x)))


def moons(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, their classes, and the labels that are known: four of each class."""
    x, y = make_moons(600, noise=0.08, random_state=seed)
    truth = torch.as_tensor(y)
    known = torch.full_like(truth, -1)
    for value in range(2):
        rows = (truth == value).nonzero().squeeze(1)[:4]
        known[rows] = value
    return torch.as_tensor(x).float(), truth, known


def test_rows_without_labels_help() -> None:
    """Over two draws of two moons, few labels and all rows err a third as often as few labels alone, at most."""
    ours, alone = 0.0, 0.0
    for seed in range(2):
        x, truth, known = moons(seed)
        options = {"latent": 2, "labels": 2, "likelihood": "normal", "hidden": (32,), "classifier": (64, 64)}
        model, objective = build("smooth_gm_vae", (2,), seed=seed, **options, radius=0.5)
        rows = Resident(Dataset(x, known), Encoding(Greys()), 100, CPU)
        trained = train(model, objective, rows, None, Settings(max_epochs=25, learning_rate=5e-3, seed=seed))
        ours += float((classify(trained.model, Batch(x)).argmax(1) != truth).double().mean()) / 2
        machine = SVC().fit(x[known >= 0], known[known >= 0])
        alone += float((machine.predict(x) != truth.numpy()).mean()) / 2

    assert ours < alone / 3, (ours, alone)


def identity() -> VAE:
    """A model whose code is the row."""
    encoder = Parametric(nn.Identity(), Normal(Known(1e-4)), "x")
    return VAE(build("vae", (2,), latent=2).model.likelihood, z=Latent(standard_normal(2), encoder))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CODE_CLASSIFIERS)
def test_a_classifier_is_taught_on_the_codes_of_the_labelled_rows_alone(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 2)
    y = torch.where(torch.arange(300) < 60, (x[:, 0] > 0).long(), -1)
    found = taught(identity(), Batch(x), y, classifier=name, classes=3)(Batch(x[60:]))
    assert found.shape == (240, 3)
    assert bool((found[:, 2] == 0).all())
    assert float((found.argmax(1) == (x[60:, 0] > 0).long()).double().mean()) > 0.85
    with_nan = torch.where(y < 0, torch.nan, y.double())
    torch.testing.assert_close(taught(identity(), Batch(x), with_nan, classifier=name, classes=3)(Batch(x[60:])), found)


def test_what_cannot_be_classified_is_refused() -> None:
    model = build("vae", (6,), latent=2).model
    with pytest.raises(UsageError, match="no latent 'y', but 'z'"):
        classify(model, Batch(torch.rand(3, 6)))
    with pytest.raises(DataError, match="labels of 1 classes"):
        taught(model, Batch(torch.rand(3, 6)), torch.tensor([1, -1, 1]))
    with pytest.raises(UsageError, match="did you mean 'logistic'"):
        taught(model, Batch(torch.rand(3, 6)), torch.tensor([1, 0, 1]), classifier="logistik")
