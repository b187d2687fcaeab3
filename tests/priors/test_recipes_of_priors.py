"""What the recipes with priors and flows of their own are made of."""

from __future__ import annotations

import pytest
import torch

import vaekit
from vaekit.common.errors import UsageError
from vaekit.flows import Flow
from vaekit.priors import Ard, ExemplarPrior, LearnedMixture, VampPrior
from vaekit.recipes import build

EVENT = (1, 4, 4)


@pytest.mark.parametrize("name", ["vamp_vae", "exemplar_vae", "mixture_prior_vae", "nsf_vae"])
def test_a_prior_chosen_beside_a_recipes_own_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="prior of its own: leave out prior='laplace'"):
        build(name, EVENT, prior="laplace")


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("vamp_vae", VampPrior),
        ("exemplar_vae", ExemplarPrior),
        ("mixture_prior_vae", LearnedMixture),
        ("flow_prior_vae", Flow),
        ("nsf_vae", Flow),
        ("ard_vae", Ard),
    ],
)
def test_a_recipe_has_the_prior_it_is_named_after(name: str, prior: type) -> None:
    assert isinstance(build(name, EVENT).model.parts["z"].prior, prior)


@pytest.mark.parametrize("name", ["iaf_vae", "nsf_vae", "planar_vae", "householder_vae", "sylvester_vae"])
@pytest.mark.parametrize("posterior", ["normal", "full_normal"])
def test_a_flow_bends_any_normal_posterior_and_features_are_computed_once(name: str, posterior: str) -> None:
    model = build(name, EVENT, latent=3, features=8, posterior=posterior).model
    asked = []
    model.parts["h"].register_forward_hook(lambda *_: asked.append(1))
    trace = model.trace(torch.rand(5, *EVENT), samples=4)
    assert isinstance(model.parts["z"].posterior, Flow)
    assert trace.log_weight.shape == (4, 5)
    assert len(asked) == 1


@pytest.mark.parametrize("net", ["mlp", "gated", "conv", "resnet"])
@pytest.mark.parametrize("name", ["iaf_vae", "vamp_vae", "exemplar_vae"])
def test_any_net_will_do(name: str, net: str) -> None:
    model, objective = build(name, (1, 8, 8), latent=3, net=net)
    x = torch.rand(20, 1, 8, 8)
    fitted = vaekit.fit(model, objective, x, max_epochs=1, batch_size=10, validation=0, verbose=False)
    assert fitted.sample(2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "poisson"])
def test_pseudo_inputs_are_values_that_the_likelihood_explains(likelihood: str) -> None:
    """Whole numbers are explained by their neighbours between them: at least none is negative."""
    model, objective = build("vamp_vae", (6,), latent=2, likelihood=likelihood, pseudo_inputs=15, net="mlp")
    rows = torch.randint(0, 2, (40, 6)).float()
    prior = vaekit.fit(model, objective, rows, max_epochs=2, verbose=False).model.parts["z"].prior
    assert isinstance(prior, VampPrior)
    if likelihood != "normal":
        assert (prior.pseudo_inputs >= 0).all()
    if likelihood == "bernoulli":
        assert (prior.pseudo_inputs <= 1).all()


@pytest.mark.parametrize("name", ["vamp_vae", "exemplar_vae"])
def test_an_average_of_the_weights_can_be_kept(name: str) -> None:
    model, objective = build(name, (6,), latent=2, net="mlp", hidden=(8,))
    fitted = vaekit.fit(model, objective, torch.rand(60, 6), max_epochs=2, ema=0.9, verbose=False)
    kept = fitted.model.parts["z"]
    assert kept.prior._elsewhere[0] is kept.posterior
    assert fitted.evaluate(torch.rand(5, 6), samples=5).evidence.log_evidence.isfinite().all()
