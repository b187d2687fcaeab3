"""Posteriors that are normal no longer: bent by a flow."""

from __future__ import annotations

from vaekit.core import VAE, Conditional, Latent
from vaekit.flows import Bijection, Flow, householder, iaf, nsf, planar, sylvester
from vaekit.objectives import Elbo
from vaekit.priors import flow_prior
from vaekit.recipes.parts import Parts
from vaekit.recipes.priors import own
from vaekit.recipes.registry import Recipe, recipe


def bent(parts: Parts, flow: Bijection, prior: Conditional | None = None) -> Recipe:
    """q(z | x) is the encoder's, bent by a flow that reads features of x; one net makes both."""
    h, encoder, features = parts.encoder_with_features(flow.context)
    posterior = Flow(encoder, flow, given="h", net=features)
    return Recipe(VAE(parts.decoder(), h=h, z=Latent(prior or parts.prior(), posterior)), Elbo())


@recipe("a posterior bent by inverse autoregressive flow", "Kingma et al.", 2016)
def iaf_vae(parts: Parts, features: int = 128, steps: int = 2) -> Recipe:
    """The VAE with inverse autoregressive flow.

    Args:
        features: width of what the encoder tells the flow.
        steps: of the flow.
    """
    return bent(parts, iaf(parts.architecture.latent, features, steps=steps))


@recipe("posterior and prior bent by splines", "Durkan et al.", 2019)
def nsf_vae(parts: Parts, features: int = 128, steps: int = 2) -> Recipe:
    """The VAE with neural spline flows on both sides.

    Args:
        features: width of what the encoder tells the flow.
        steps: of either flow.
    """
    size = parts.architecture.latent
    return bent(parts, nsf(size, features, steps=steps).inv, own(parts, flow_prior(size, nsf)))


@recipe("a posterior bent by planar flow", "Rezende and Mohamed", 2015)
def planar_vae(parts: Parts, features: int = 128, steps: int = 8) -> Recipe:
    """The VAE with planar flow.

    Args:
        features: width of what the encoder tells the flow.
        steps: of the flow.
    """
    return bent(parts, planar(parts.architecture.latent, features, steps=steps))


@recipe("a posterior turned by reflections", "Tomczak and Welling", 2016)
def householder_vae(parts: Parts, features: int = 128, steps: int = 8) -> Recipe:
    """The VAE with Householder flow.

    Args:
        features: width of what the encoder tells the flow.
        steps: reflections, one after another.
    """
    return bent(parts, householder(parts.architecture.latent, features, steps=steps))


@recipe("a posterior bent by Sylvester flow", "van den Berg et al.", 2018)
def sylvester_vae(parts: Parts, features: int = 128, steps: int = 4, reflections: int = 8) -> Recipe:
    """The VAE with Sylvester flow.

    Args:
        features: width of what the encoder tells the flow.
        steps: of the flow.
        reflections: that make each step's basis.
    """
    return bent(parts, sylvester(parts.architecture.latent, features, steps=steps, reflections=reflections))
