"""The posterior that is a point."""

from __future__ import annotations

import torch
from torch import Size

from vaekit.about import density_of
from vaekit.families.point import Delta
from vaekit.recipes import build


def test_it_is_the_encoders_output_with_its_gradient() -> None:
    params = torch.randn(1, 3, 2, 4, 4).requires_grad_()
    posterior = Delta()(params)
    draws = posterior.expand(Size((5, 3))).rsample()
    assert torch.equal(draws, params.expand(5, 3, 2, 4, 4))
    assert torch.equal(posterior.mean, params)
    assert float(posterior.variance.abs().max()) == 0
    draws.sum().backward()
    assert torch.equal(params.grad, torch.full_like(params, 5.0))
    assert Delta().params_shape(Size((2, 4, 4))) == (2, 4, 4)


def test_its_mass_is_all_at_the_point_and_is_not_called_a_density() -> None:
    params = torch.randn(1, 3, 2).double()
    posterior = Delta()(params)
    assert torch.equal(posterior.log_prob(params), torch.zeros(1, 3).double())
    nearby = params + torch.tensor([1e-9, 0.0]).double()
    assert torch.equal(posterior.log_prob(nearby), torch.full((1, 3), -torch.inf).double())
    assert not Delta().density(params).is_likelihood


def test_a_model_with_points_says_that_its_numbers_are_no_likelihood() -> None:
    x = torch.tensor([[0.0, 1.0, 1.0]])
    assert density_of(build("vae", (3,), latent=2).model, x).is_likelihood
    of_points = density_of(build("ae", (3,), latent=2).model, x)
    assert str(of_points).endswith("of binary values given their code, in nats per example; not a likelihood")
