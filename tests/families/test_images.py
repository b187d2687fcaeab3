from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Size, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import vaekit
from families.against import assert_refuses
from vaekit.common.errors import UsageError
from vaekit.core import Density, bits_per_dimension
from vaekit.families import (
    DiscretisedLogistic,
    DiscretisedLogisticMixture,
    Known,
    Learned,
    Levels256,
    Predicted,
    positive,
)
from vaekit.families.images import DiscretisedLogisticDistribution

GREYS = torch.arange(256, dtype=torch.float64) / 255


def naive_masses(location: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(..., 256), as differences of the logistic distribution function with open ends."""
    edges = (np.arange(1, 256) - 0.5) / 255
    below = expit((edges - location[..., None]) / scale[..., None])
    ends = np.zeros((*location.shape, 1))
    return np.diff(np.concatenate([ends, below, 1 + ends], -1))


def masses(distribution: torch.distributions.Distribution, greys: Tensor = GREYS) -> Tensor:
    """(256, ...) for a distribution of one coordinate."""
    return distribution.log_prob(greys.reshape(-1, 1, 1)).exp()


@pytest.mark.parametrize("location", [-0.4, 0.0, 0.31, 1.0])
@pytest.mark.parametrize("scale", [0.003, 0.05, 2.0])
def test_a_discretised_logistic_is_a_difference_of_its_distribution_function(location: float, scale: float) -> None:
    params = torch.full((1, 1, 1), location - 0.5, dtype=torch.float64)
    found = masses(DiscretisedLogistic(Known(scale))(params)).flatten()
    expected = naive_masses(np.array(location), np.array(scale))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.1, 1e3, 1e8])
@pytest.mark.parametrize("location", [-3.0, 0.2, 0.5019608, 40.0])
def test_its_masses_sum_to_one_however_narrow_or_wide(dtype: torch.dtype, scale: float, location: float) -> None:
    params = (torch.tensor(value, dtype=dtype) for value in (location, scale))
    distribution = DiscretisedLogisticDistribution(*params)
    total = distribution.log_prob(GREYS.to(dtype)).double().exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("location", [-1e6, 0.0, 0.5, 1e6])
def test_extreme_parameters_leave_values_and_gradients_finite(location: float, scale: float) -> None:
    params = [torch.tensor(value, requires_grad=True) for value in (location, scale)]
    log_prob = DiscretisedLogisticDistribution(*params).log_prob(GREYS.float())
    assert log_prob.isfinite().all()
    assert all(gradient.isfinite() for gradient in torch.autograd.grad(log_prob.sum(), params))


def test_its_gradient_agrees_with_finite_differences() -> None:
    location = torch.tensor([-0.1, 0.3, 0.5, 0.99], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.3, 0.004, 0.02, 0.1], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.0, 77 / 255, 0.6, 1.0], dtype=torch.float64)
    params = (location, scale)
    assert torch.autograd.gradcheck(lambda *params: DiscretisedLogisticDistribution(*params).log_prob(x), params)


def test_its_mean_and_variance_are_those_of_its_masses() -> None:
    location, scale = torch.randn(20).double(), torch.logspace(-4, 1, 20).double()
    distribution = DiscretisedLogisticDistribution(location, scale)
    mass = naive_masses(location.numpy(), scale.numpy())
    mean = mass @ GREYS.numpy()
    variance = (mass * (GREYS.numpy() - mean[:, None]) ** 2).sum(-1)
    np.testing.assert_allclose(distribution.mean.numpy(), mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(distribution.variance.numpy(), variance, rtol=1e-8, atol=1e-12)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor))])
        return made


def test_its_mean_takes_no_memory_for_each_level() -> None:
    distribution = DiscretisedLogisticDistribution(torch.zeros(8, 3, 5, 5), torch.ones(8, 3, 5, 5))
    with Largest() as largest:
        _ = distribution.mean
    assert largest.elements == 8 * 3 * 5 * 5


@pytest.mark.parametrize("location", [-0.2, 0.4])
def test_its_draws_have_its_masses(location: float) -> None:
    distribution = DiscretisedLogisticDistribution(torch.tensor(location).double(), torch.tensor(0.2).double())
    n = 50_000
    level = (distribution.sample((n,)) * 255).round().long()
    assert Levels256().support.check(distribution.sample((100,))).all()
    expected = distribution.log_prob(GREYS).exp()
    found, error = torch.bincount(level, minlength=256) / n, 5 * (expected * (1 - expected) / n).sqrt()
    common = n * expected > 30
    assert ((found - expected).abs() <= error)[common].all()


@pytest.mark.parametrize("scale", [Predicted(), Learned(), Learned((2, 3)), Learned((4, 2, 3)), Known(0.1)], ids=str)
def test_a_mixture_is_the_weighted_sum_of_its_components(scale: torch.nn.Module) -> None:
    """Blocks of K: logits of the weights, locations counted from (k + 1/2) / K, and what the scales need."""
    components, event = 4, (2, 3)
    family = DiscretisedLogisticMixture(components, scale).double()
    params = torch.randn(2, 3, family.width(Size(event)), 3, dtype=torch.float64)
    blocks = params.unflatten(2, (-1, 2))
    weights, location = blocks[:, :, :4].softmax(2), blocks[:, :, 4:8]
    with torch.no_grad():
        _, spread = (location, positive(blocks[:, :, 8:])) if isinstance(scale, Predicted) else scale(location)
        starts = ((torch.arange(4) + 0.5) / 4).double().reshape(4, 1, 1)
        x = torch.randint(256, (1, 3, *event)).double() / 255
        single = DiscretisedLogisticDistribution(location + starts, spread).log_prob(x.unsqueeze(2)).exp()
        expected = (weights * single).sum(2).log().sum((-1, -2))
        torch.testing.assert_close(family(params).log_prob(x), expected)
        mean = (weights * DiscretisedLogisticDistribution(location + starts, spread).mean).sum(2)
        torch.testing.assert_close(family(params).mean, mean)


def test_a_mixture_of_one_is_a_discretised_logistic() -> None:
    params = torch.randn(1, 5, 2).double()
    one = torch.cat([torch.randn(1, 5, 1).double(), params], -1)
    x = torch.randint(256, (1, 5, 1)).double() / 255
    expected = DiscretisedLogistic()(params).log_prob(x)
    torch.testing.assert_close(DiscretisedLogisticMixture(1)(one).log_prob(x), expected)


def test_mixtures_of_no_component_are_refused() -> None:
    with pytest.raises(UsageError, match="0 components"):
        DiscretisedLogisticMixture(0)


def test_levels_are_free_of_each_other_and_each_has_the_mass_of_its_block() -> None:
    params = torch.randn(1, 1, 256 * 2).double()
    found = Levels256()(params).log_prob(torch.stack([GREYS, GREYS.flip(0)], -1).unsqueeze(1))
    logits = params.reshape(256, 2).log_softmax(0)
    torch.testing.assert_close(found.flatten(), logits[:, 0] + logits[:, 1].flip(0))


@pytest.mark.parametrize("likelihood", ["levels_256", "discretised_logistic", "discretised_logistic_mixture"])
@pytest.mark.parametrize("value", [300 / 255, -1 / 255, 0.5])
def test_what_is_no_8_bit_grey_is_refused(likelihood: str, value: float) -> None:
    assert_refuses(likelihood, value)


@pytest.mark.parametrize("family", [Levels256(), DiscretisedLogistic(), DiscretisedLogisticMixture()])
@pytest.mark.parametrize("value", [300 / 255, -1 / 255, 0.5, torch.nan])
def test_what_is_no_8_bit_grey_has_no_mass(family: Levels256 | DiscretisedLogistic, value: float) -> None:
    params = torch.zeros(1, 1, family.width(Size((1,))))
    assert family(params).log_prob(torch.tensor([value])).tolist() == [[-torch.inf]]


def test_bytes_are_accepted_as_they_come_and_called_8_bit() -> None:
    rows = (torch.arange(32 * 6) % 256).to(torch.uint8).reshape(32, 6)
    model, objective = vaekit.build("vae", (6,), latent=2, likelihood="discretised_logistic")
    fitted = vaekit.fit(model, objective, rows, max_epochs=1, verbose=False)
    assert str(fitted.about.density) == "probability mass of 8-bit values, in nats per example"
    levels = fitted.sample(4) * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


def test_bits_per_dimension_of_a_mass_are_its_nats_over_log_2() -> None:
    """A fair coin among 256 levels costs 8 bits a value, whatever the likelihood that says so."""
    density = Levels256().density(torch.zeros(1))
    log_mass = Levels256()(torch.zeros(1, 5, 256 * 12)).log_prob(torch.zeros(1, 5, 12))
    torch.testing.assert_close(bits_per_dimension(log_mass, (12,), density), torch.full((1, 5), 8.0))
    assert bits_per_dimension(-12 * math.log(256), (3, 2, 2), density) == pytest.approx(8.0)


def test_bits_per_dimension_of_a_density_of_greys_gain_the_width_of_a_level() -> None:
    """Uniform on [0, 1]: a density of 1, and again 8 bits. A density of 256 on the right level: none."""
    greys = Density("dequantised greys in [0, 1]", "probability density", level_bits=8.0)
    assert bits_per_dimension(0.0, (784,), greys) == pytest.approx(8.0)
    assert bits_per_dimension(784 * math.log(256), (784,), greys) == pytest.approx(0.0)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "normal", "poisson"])
def test_other_numbers_have_no_bits_per_dimension(likelihood: str) -> None:
    density = vaekit.families.LIKELIHOODS[likelihood](Size((4,))).density(torch.ones(1))
    with pytest.raises(UsageError, match="no bits per dimension"):
        bits_per_dimension(-80.0, (4,), density)
