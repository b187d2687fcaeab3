from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import vaekit
from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Latent, Parametric
from vaekit.data import Dataset, hold_out, load_data
from vaekit.evaluate import log_evidence
from vaekit.families import FullNormal, Known, Normal
from vaekit.model import FittedVAE
from vaekit.priors import AutoregressiveFit, FlowFit, LearnedPrior, MixtureFit, NormalFit, PriorFit, standard_normal
from vaekit.priors.em import Gaussians
from vaekit.priors.fits import full_normal_params
from vaekit.priors.refit import kind_of, record_of, with_prior
from vaekit.recipes import build
from vaekit.uses.refit import aggregated_codes, refit_prior

QUICK = FlowFit(epochs=30, patience=5)
KINDS = {
    "normal": NormalFit(),
    "mixture": MixtureFit((1, 3), restarts=2),
    "flow": QUICK,
    "autoregressive": AutoregressiveFit(components=3, width=8, updates=20),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

NOISE = 1.5


def linear_gaussian() -> VAE:
    decoder = Parametric(nn.Linear(2, 4), Normal(Known(NOISE)), given="z")
    encoder = Parametric(nn.Linear(4, 5), FullNormal(), given="x")
    nn.init.zeros_(encoder.params.net.weight)  # type: ignore[arg-type]
    return VAE(decoder, z=Latent(standard_normal(2), encoder)).double()


def three_clusters(n: int = 3000) -> Tensor:
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]]).double()
    return centres[torch.randint(3, (n,))] + torch.tensor([0.3, 1.0]).double() * torch.randn(n, 2).double()


def exact_evidence(model: VAE, mean: Tensor, covariance: Tensor, x: Tensor) -> Tensor:
    """log p(x) of z ~ N(mean, covariance), x = W z + b + noise."""
    net = model.likelihood.params.net
    spread = net.weight @ covariance @ net.weight.T + NOISE**2 * torch.eye(4).double()
    return MultivariateNormal(net.weight @ mean + net.bias, spread).log_prob(x).detach()


def test_the_evidence_after_a_refit_is_that_of_the_new_prior() -> None:
    model = linear_gaussian()
    codes = torch.randn(3000, 2).double() @ torch.tensor([[0.5, 0.2], [0.0, 1.5]]).double() + 1
    refitted = refit_prior(model, "z", codes, NormalFit())
    x = torch.randn(5, 4).double()
    found = log_evidence(refitted, x, samples=20_000)
    exact = exact_evidence(model, codes.mean(0), codes.T.cov(correction=0), x)
    assert (found.stderr < 0.3).all()
    assert ((found.log_evidence - exact).abs() < 5 * found.stderr + 1e-3).all()
    before = exact_evidence(model, torch.zeros(2).double(), torch.eye(2).double(), x)
    assert ((exact - before).abs() > 5 * found.stderr).any(), "the two priors should not give the same evidence"


def test_a_mixture_of_one_is_the_normal() -> None:
    codes = three_clusters(500)
    normal, _ = NormalFit().fit(codes)
    mixture, _ = MixtureFit((1,)).fit(codes)
    z = torch.randn(7, 1, 2).double()
    torch.testing.assert_close(mixture({}).log_prob(z), normal({}).log_prob(z), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_the_parameters_of_a_full_normal_are_those_of_its_moments(dimensions: int) -> None:
    factor = torch.randn(3, dimensions, dimensions).double()
    covariances = factor @ factor.mT + 0.1 * torch.eye(dimensions).double()
    means = torch.randn(3, dimensions).double()
    family = FullNormal()(full_normal_params(Gaussians(torch.ones(3).double() / 3, means, covariances))[None])
    assert isinstance(family, MultivariateNormal)
    torch.testing.assert_close(family.mean[0], means, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(family.covariance_matrix[0], covariances, rtol=1e-9, atol=1e-9)


def test_the_number_of_components_is_the_one_that_held_out_codes_like_best() -> None:
    prior, kind = MixtureFit((1, 3), restarts=3).fit(three_clusters())
    assert isinstance(kind, MixtureFit)
    assert kind.components == (3,)
    assert len(prior.logits) == 3


@pytest.mark.parametrize(
    ("kind", "within"),
    [
        (MixtureFit((3,)), 0.03),
        (FlowFit(flow="nsf", patience=5), 0.25),
        (AutoregressiveFit(components=6, width=32, updates=600), 0.1),
    ],
)
def test_a_flexible_prior_comes_near_the_true_density(kind: PriorFit, within: float) -> None:
    prior, _ = kind.fit(three_clusters())
    fresh = three_clusters(2000)
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]]).double()
    covariance = torch.diag(torch.tensor([0.09, 1.0]).double())
    each = [MultivariateNormal(centre, covariance).log_prob(fresh) for centre in centres]
    truth = torch.stack(each).logsumexp(0) - torch.tensor(3.0).log()
    with torch.no_grad():
        short = truth.mean() - prior({}).log_prob(fresh).mean()
    assert short < within
    plain, _ = NormalFit().fit(fresh)
    assert truth.mean() - plain({}).log_prob(fresh).mean().detach() > 1.0


@every_kind
def test_a_refit_is_a_copy_and_the_same_for_the_same_seed(kind: PriorFit) -> None:
    model = linear_gaussian()
    codes = three_clusters(300)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    refits = [refit_prior(model, "z", codes, kind, seed=seed) for seed in (0, 0)]
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == {
        name: tuple(value.shape) for name, value in before.items()
    }
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    first, second = (refit.state_dict() for refit in refits)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert refits[0].parts["z"].posterior is not model.parts["z"].posterior
    assert refits[0].sample(3).latent("z").shape == (3, 2)


@every_kind
def test_the_global_random_state_is_left_alone(kind: PriorFit) -> None:
    model = linear_gaussian()
    before = torch.get_rng_state()
    refit_prior(model, "z", torch.linspace(0, 1, 200).reshape(100, 2).double(), kind)
    assert torch.equal(torch.get_rng_state(), before)


@every_kind
def test_a_refitted_model_is_saved_and_built_again(kind: PriorFit, tmp_path: Path) -> None:
    x = torch.rand(80, 6)
    fitted = vaekit.fit(*build("vae", (6,), latent=2, hidden=(8,)), x, max_epochs=1, verbose=False)
    codes = aggregated_codes(fitted.model, x, "z", draws=3)
    assert codes.shape == (240, 2)
    refitted = vaekit.FittedVAE(refit_prior(fitted.model, "z", codes, kind), fitted.about)
    refitted.save(tmp_path / "model")
    loaded = vaekit.load_model(tmp_path / "model", device="cpu")
    assert type(loaded.model.parts["z"].prior) is type(refitted.model.parts["z"].prior)
    pair = [model.log_evidence(x[:5], 20).log_evidence for model in (refitted, loaded)]
    assert torch.equal(*pair)
    twice = refit_prior(loaded.model, "z", codes, NormalFit())
    assert isinstance(twice.parts["z"].prior, LearnedPrior)


@every_kind
def test_a_record_names_the_kind_and_its_settings(kind: PriorFit) -> None:
    again = kind_of(record_of(kind))
    assert again == kind


def test_a_latent_that_is_a_map_can_have_a_flow() -> None:
    codes = torch.randn(200, 2, 2, 1).double()
    prior, _ = FlowFit(epochs=2).fit(codes)
    assert prior({}).log_prob(codes[None]).shape == (1, 200)
    with pytest.raises(UsageError, match=r"vectors, not of shape \(2, 2, 1\)"):
        NormalFit().fit(codes)


def test_the_rest_of_the_model_is_as_it_was() -> None:
    model = linear_gaussian().eval()
    other = with_prior(model, "z", LearnedPrior(FullNormal(), 2).double())
    assert other.likelihood is model.likelihood
    assert not other.training


def hierarchy() -> VAE:
    decoder = Parametric(nn.Linear(2, 4), Normal(Known(NOISE)), given="z1")
    z1 = Latent(Parametric(nn.Linear(2, 4), Normal(), given="z2"), Parametric(nn.Linear(4, 4), Normal(), given="x"))
    z2 = Latent(standard_normal(2), Parametric(nn.Linear(4, 4), Normal(), given="x"))
    return VAE(decoder, z1=z1, z2=z2)


@pytest.mark.parametrize(
    ("refit", "error", "words"),
    [
        (lambda: refit_prior(linear_gaussian(), "y", torch.zeros(9, 2), NormalFit()), UsageError, "unknown latent 'y'"),
        (lambda: refit_prior(linear_gaussian(), "z", torch.zeros(9, 3), NormalFit()), UsageError, r"\(3,\).*\(2,\)"),
        (lambda: refit_prior(hierarchy(), "z1", torch.zeros(9, 2), NormalFit()), UsageError, "reads 'z2'"),
        (lambda: with_prior(linear_gaussian(), "z", standard_normal(3)), UsageError, r"\(3,\).*\(2,\)"),
        (lambda: NormalFit().fit(torch.zeros(1, 2)), DataError, "1 codes"),
        (lambda: QUICK.fit(torch.full((9, 2), torch.nan)), DataError, "not finite"),
        (lambda: MixtureFit(()), UsageError, "at least 1"),
        (lambda: FlowFit(epochs=0), UsageError, "positive"),
        (lambda: FlowFit(flow="mfa").fit(torch.randn(9, 2)), UsageError, "did you mean 'maf'"),
    ],
)
def test_what_cannot_be_refitted_is_refused(refit: type[VAE], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        refit()


def test_the_top_of_a_hierarchy_can_be_refitted() -> None:
    refitted = refit_prior(hierarchy(), "z2", torch.randn(50, 2), NormalFit())
    assert refitted.sample(3).draw().shape == (3, 4)


@pytest.fixture(scope="module")
def fitted() -> FittedVAE:
    model, objective = build("vae", (6,), latent=2, hidden=(8,))
    return vaekit.fit(model, objective, torch.rand(80, 6).round(), max_epochs=1, verbose=False)


@pytest.mark.parametrize("kind", ["normal", NormalFit()])
def test_a_fitted_model_is_refitted_to_its_codes(fitted: FittedVAE, kind: str | NormalFit) -> None:
    """The mean and the covariance of the new prior are those of the codes that the same seed draws."""
    rows = torch.rand(500, 6).round()
    codes = fitted.encode_draws(rows, 2, seed=4).flatten(0, 1).double()
    refitted = fitted.refit_prior(rows, kind, draws=2, seed=4)
    prior = refitted.model.parts["z"].prior({})  # type: ignore[operator]
    torch.testing.assert_close(prior.mean.flatten().double(), codes.mean(0), rtol=1e-4, atol=1e-5)
    covariance = prior.covariance_matrix.reshape(2, 2).double()
    torch.testing.assert_close(covariance, codes.T.cov(correction=0), rtol=1e-3, atol=1e-5)
    assert refitted.about is fitted.about
    assert fitted.model.parts["z"].prior is not refitted.model.parts["z"].prior  # type: ignore[union-attr]


def test_a_refitted_fitted_model_is_saved_and_loaded(fitted: FittedVAE, tmp_path: Path) -> None:
    refitted = fitted.refit_prior(torch.rand(200, 6).round(), "mixture", latent="z")
    refitted.save(tmp_path / "model")
    torch.testing.assert_close(FittedVAE.load(tmp_path / "model").sample(5, seed=1), refitted.sample(5, seed=1))


def test_what_a_fitted_model_cannot_refit_is_refused(fitted: FittedVAE) -> None:
    rows = torch.rand(50, 6).round()
    for words, complaint in (
        ({"kind": "flows"}, "unknown kind of fitted prior 'flows': did you mean 'flow'"),
        ({"latent": "y"}, "unknown latent 'y'"),
        ({"draws": 0}, "0 draws"),
    ):
        with pytest.raises(UsageError, match=complaint):
            fitted.refit_prior(rows, **words)


@pytest.mark.parametrize(("recipe", "measure"), [("hyperspherical_vae", "area"), ("bernoulli_vae", "counting")])
def test_latents_that_are_no_real_vectors_are_refused(recipe: str, measure: str) -> None:
    model, _ = build(recipe, (6,), latent=3)
    with pytest.raises(UsageError, match=f"density over real vectors, and 'z' is measured by {measure}"):
        refit_prior(model, "z", aggregated_codes(model, torch.rand(30, 6), "z"), NormalFit())


def test_latents_of_positive_numbers_are_refused() -> None:
    """A normal would have samples below 0, which no code ever was, and log p(x) would miss what lies there."""
    model, _ = build("vae", (6,), latent=3, posterior="gamma", prior="gamma")
    with pytest.raises(UsageError, match="'z' is between 0 and inf"):
        refit_prior(model, "z", aggregated_codes(model, torch.rand(30, 6), "z"), NormalFit())


def test_the_command_line_refits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, run, out = tmp_path / "rows.npz", tmp_path / "run", tmp_path / "better"
    np.savez(rows, x=torch.rand(80, 6).round().numpy(), x_test=torch.rand(20, 6).round().numpy())
    small = ["--epochs", "1", "--samples", "3", "--quiet", "--device", "cpu", "--model.latent", "2"]
    assert launch(app, ["fit", str(rows), "--out", str(run), *small]) == 0
    capsys.readouterr()
    assert launch(app, ["refit", str(run), "--out", str(out), "--prior", "normal", "--device", "cpu"]) == 0
    assert "the prior of z is now a normal fitted to 72 rows" in capsys.readouterr().out
    again = FittedVAE.load(run / "model", device="cpu").refit_prior(Dataset(*learnt_from(rows)), "normal")
    torch.testing.assert_close(FittedVAE.load(out, device="cpu").sample(5), again.sample(5))


def learnt_from(rows: Path) -> tuple[Tensor]:
    """The rows of the run that it did not hold out."""
    return (hold_out(load_data(str(rows)).train, 0.1, 0)[0].x,)
