"""The KL of every posterior from every prior of the registries, in closed form, from draws, and by quadrature."""

from __future__ import annotations

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from core.linear_gaussian import LinearGaussian, LinearNormal, TwoLevels
from core.statistics import assert_mean
from families.quadrature import bounded, expectation, support_of
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Latent, LatentTerm, Parametric
from vaekit.families import LIKELIHOODS, POSTERIORS
from vaekit.objectives import KL, Elbo, Step, analytic_kl, coordinate_kl, sampled_kl
from vaekit.priors import PRIORS

ROWS, DRAWS = 3, 2000
QUADRATURE = 5e-4
"""What the quadrature is off by at most: the kink of a Laplace density is its hardest case."""
EVENT = Size((2,))


def term_of(posterior: str, prior: str, samples: int) -> LatentTerm:
    """What a latent of two coordinates leaves in a trace of three rows; nobody asks for a gradient."""
    family = POSTERIORS[posterior](EVENT)
    encoder = Parametric(nn.Linear(4, family.width(EVENT)), family, "x")
    decoder = Parametric(nn.Linear(2, 4), LIKELIHOODS["bernoulli"](Size((4,))), "z")
    model = VAE(decoder, z=Latent(PRIORS[prior](EVENT), encoder)).double()
    with torch.no_grad():
        return model.trace(torch.randn(ROWS, 4).double(), samples).latents["z"]


def of_one_kind(posterior: str, prior: str) -> bool:
    """Whether a prior has a density, or a mass, for every draw of the posterior."""
    try:
        with seeded(0):
            term = term_of(posterior, prior, 5)
    except UsageError:
        return False
    assert term.drawn is not None
    known, drawn = term.prior.support, term.drawn.distribution.support
    assert known is not None
    assert drawn is not None
    return known.is_discrete == drawn.is_discrete and bool(known.check(term.value).all())


PAIRS = [(posterior, prior) for posterior in POSTERIORS for prior in PRIORS if of_one_kind(posterior, prior)]
every_pair = pytest.mark.parametrize(("posterior", "prior"), PAIRS)


def test_every_prior_and_nearly_every_posterior_has_a_partner() -> None:
    assert {prior for _, prior in PAIRS} == set(PRIORS)
    assert len({posterior for posterior, _ in PAIRS}) > len(POSTERIORS) / 2


def by_quadrature(q: Distribution, p: Distribution) -> Tensor:
    """The integral of q log (q / p), (batch,)."""

    def log_ratio(z: Tensor) -> Tensor:
        ratio: Tensor = (q.log_prob(z) - p.log_prob(z)).unsqueeze(-1)
        return ratio.nan_to_num(neginf=0.0)

    return expectation(q, 2, log_ratio).squeeze(-1)


@every_pair
def test_the_kl_is_that_of_the_densities(posterior: str, prior: str) -> None:
    term = term_of(posterior, prior, DRAWS)
    analytic, sampled = analytic_kl(term).expand(DRAWS, ROWS), sampled_kl(term)
    assert_mean(sampled - analytic, torch.zeros(ROWS).double())
    assert term.drawn is not None
    if not bounded(support_of(term.prior), 2):  # where ends of the support may be singular, no quadrature is exact
        exact = by_quadrature(term.drawn.distribution, term.prior)
        assert_mean(sampled, exact, slack=QUADRATURE)
        assert_mean(analytic, exact, slack=QUADRATURE)


@every_pair
def test_the_coordinates_add_up(posterior: str, prior: str) -> None:
    term = term_of(posterior, prior, 5)
    torch.testing.assert_close(coordinate_kl(term).sum(-1), analytic_kl(term), rtol=1e-12, atol=1e-12)


@every_pair
def test_a_posterior_that_is_its_prior_has_no_kl(posterior: str, prior: str) -> None:
    term = term_of(posterior, prior, 5)
    assert term.drawn is not None
    itself = LatentTerm(term.value, term.drawn.distribution, term.drawn)
    torch.testing.assert_close(analytic_kl(itself), torch.zeros_like(analytic_kl(itself)), rtol=0, atol=1e-12)
    torch.testing.assert_close(sampled_kl(itself), torch.zeros(5, ROWS).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kl", [analytic_kl, sampled_kl])
def test_a_known_latent_leaves_its_prior(kl: KL) -> None:
    """-log p(z), so that log p(x | z) - KL is the joint log p(x, z)."""
    truth = LinearGaussian.random()
    x, z = truth.evidence.sample((6,)), torch.randn(6, 2).double()
    terms = Elbo(kl=kl)(truth.model(truth.inexact.normal("x")), Batch(x, {"z": z}), Step.first())
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(terms.kl["z"], -log_prior, rtol=0, atol=1e-12)


def diagonal(posterior: LinearNormal) -> LinearNormal:
    """The same, with the coordinates made independent: inexact, and so of a KL that matters."""
    return LinearNormal(0.9 * posterior.A, posterior.b + 0.1, torch.diag(posterior.covariance.diagonal().sqrt()))


def two_levels(bottom_up: bool) -> tuple[TwoLevels, VAE]:
    truth = TwoLevels.random()
    exact = truth.bottom_up() if bottom_up else truth.top_down()
    z1, z2 = diagonal(exact["z1"]), diagonal(exact["z2"])
    if bottom_up:
        return truth, truth.model(z1=z1.normal("x"), z2=z2.normal("z1"))
    return truth, truth.model(z1=z1.normal(("x", "z2")), z2=z2.normal("x"))


@pytest.mark.parametrize("bottom_up", [True, False], ids=["bottom up", "top down"])
def test_the_kl_of_a_hierarchy_is_that_of_its_draws(bottom_up: bool) -> None:
    """Where z2 is inferred from z1, KL(q(z1 | x) || p(z1 | z2)) in closed form would take them for independent."""
    truth, model = two_levels(bottom_up)
    latents = model.trace(truth.evidence.sample((4,)), DRAWS).latents
    for term in latents.values():
        difference = (analytic_kl(term) - sampled_kl(term)).detach()
        assert_mean(difference.expand(DRAWS, 4), torch.zeros(4).double())
        summed = (coordinate_kl(term).sum(-1) - sampled_kl(term)).detach()
        assert_mean(summed.expand(DRAWS, 4), torch.zeros(4).double())


@pytest.mark.parametrize("kl", [analytic_kl, sampled_kl])
def test_the_elbo_of_a_hierarchy_inferred_bottom_up_is_its_evidence(kl: KL) -> None:
    """With exact posteriors, here normals of one coordinate, it is, whatever the KL is computed by."""
    truth = TwoLevels(LinearGaussian.random(1, 1, 0.5), LinearGaussian.random(4, 1, 0.7))
    exact = truth.bottom_up()
    model = truth.model(z1=exact["z1"].normal("x"), z2=exact["z2"].normal("z1"))
    x = truth.evidence.sample((4,))
    trace = model.trace(x, DRAWS)
    elbo = trace.log_lik - sum(kl(term) for term in trace.latents.values())
    assert_mean(elbo.detach(), truth.evidence.log_prob(x))


def test_a_posterior_that_no_closed_form_knows_is_sampled() -> None:
    term = term_of("normal", "standard_normal", 5)
    assert term.drawn is not None
    heavy_tailed = torch.distributions.StudentT(torch.full((2,), 4.0).double())
    against = LatentTerm(term.value, torch.distributions.Independent(heavy_tailed, 1), term.drawn)
    assert torch.equal(analytic_kl(against), sampled_kl(against))
    torch.testing.assert_close(coordinate_kl(against).sum(-1), sampled_kl(against))


@pytest.mark.parametrize("complaint", [{"samples": 0}, {"free_bits": -0.1}, {"beta": -1.0}, {"beta": float("nan")}])
def test_settings_out_of_range_are_refused(complaint: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(complaint.values())))):
        Elbo(**complaint)  # type: ignore[arg-type]
