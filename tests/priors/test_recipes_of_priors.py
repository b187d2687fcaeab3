"""What the recipes with priors and flows of their own are made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vaekit
from vaekit.common.errors import UsageError
from vaekit.core import Latent
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


HIERARCHIES = {"hvae": "z2", "ladder_vae": "z3"}


@pytest.mark.parametrize(("name", "top"), HIERARCHIES.items())
def test_the_top_of_a_hierarchy_can_have_a_vampprior(name: str, top: str) -> None:
    """Its density is the mean of the posteriors of the pseudo-inputs, through the features that lie between."""
    model, _ = build(name, EVENT, latent=8, pseudo_inputs=5)
    latent = model.parts[top]
    assert isinstance(latent, Latent)
    assert isinstance(latent.prior, VampPrior)
    z = torch.randn(3, 4, *latent.prior({}).event_shape)
    posterior = model.posterior(latent.prior.pseudo_inputs)[top].distribution
    of_each = torch.stack([posterior.log_prob(one) for one in z.flatten(0, 1)]).reshape(3, 4, 5)
    torch.testing.assert_close(latent.prior({}).log_prob(z), of_each.logsumexp(-1) - torch.tensor(5.0).log())


@pytest.mark.parametrize(("name", "top"), HIERARCHIES.items())
def test_pseudo_inputs_are_all_that_a_hierarchy_learns_more_for_it(name: str, top: str) -> None:
    plain, mixed = (build(name, EVENT, latent=8, pseudo_inputs=number).model for number in (0, 5))
    more = {key for key, _ in mixed.named_parameters()} - {key for key, _ in plain.named_parameters()}
    assert more - {key for key in more if f"parts.{top}.posterior" in key} == {f"parts.{top}.prior.raw"}
    assert sum(w.numel() for w in mixed.parameters()) - sum(w.numel() for w in plain.parameters()) == 5 * 16


@pytest.mark.parametrize(("name", "top"), HIERARCHIES.items())
def test_a_hierarchy_with_a_vampprior_learns_and_is_saved(name: str, top: str, tmp_path: Path) -> None:
    quarters = torch.eye(4).reshape(4, 1, 2, 2).repeat(32, 1, 1, 1)
    x = quarters.repeat_interleave(4, 2).repeat_interleave(4, 3)  # one of four is bright: log 4 nats are the truth
    model, objective = build(name, (1, 8, 8), latent=8, pseudo_inputs=4, hidden=(32,))
    start = model.parts[top].prior.pseudo_inputs.detach().clone()
    fitted = vaekit.fit(
        model, objective, x, max_epochs=25, batch_size=32, learning_rate=3e-3, validation=0, verbose=False
    )
    assert fitted.evaluate(x, samples=20).evidence.mean > -25  # bits alone cost 36
    assert float((model.parts[top].prior.pseudo_inputs - start).detach().abs().max()) > 0.3
    loaded = vaekit.load_model(fitted.save(tmp_path / "model"), device="cpu")
    assert torch.equal(loaded.sample(3, seed=1), fitted.sample(3, seed=1))


@pytest.mark.parametrize("name", HIERARCHIES)
def test_a_hierarchys_vampprior_is_refused_beside_another_prior(name: str) -> None:
    with pytest.raises(UsageError, match="prior of its own"):
        build(name, EVENT, latent=8, pseudo_inputs=5, prior="laplace")
    with pytest.raises(UsageError, match="-1 pseudo-inputs: it needs at least 1"):
        build(name, EVENT, latent=8, pseudo_inputs=-1)
