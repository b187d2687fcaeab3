from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Size

from vaekit.common.errors import UsageError
from vaekit.families import FullNormal, Known, Learned, Normal, Predicted, positive
from vaekit.families.scale import unpositive


@pytest.mark.parametrize("dimensions", [1, 2, 3, 20])
def test_full_normal_is_the_normal_of_its_mean_and_factor(dimensions: int) -> None:
    """Mean, diagonal before `positive`, then L below its diagonal row by row."""
    below = dimensions * (dimensions - 1) // 2
    loc, raw = torch.randn(2, dimensions).double()
    rest = 0.1 * torch.randn(below).double()
    factor = torch.diag(positive(raw))
    entries = iter(rest)
    for row in range(dimensions):
        for column in range(row):
            factor[row, column] = next(entries)
    x = torch.randn(5, dimensions).double()
    params = torch.cat([loc, raw, rest]).expand(1, 5, -1)
    assert params.shape[-1] == FullNormal().width(Size((dimensions,)))
    expected = stats.multivariate_normal(loc.numpy(), (factor @ factor.T).numpy()).logpdf(x.numpy())
    found = FullNormal()(params).log_prob(x.unsqueeze(0)).squeeze(0)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(2, 3, 3), (4, 4)])
def test_full_normal_refuses_what_is_no_vector(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="needs a vector"):
        FullNormal().width(Size(shape))


def test_a_predicted_scale_is_the_second_block() -> None:
    loc, raw = torch.randn(1, 4, 3).double(), torch.randn(1, 4, 3).double()
    x = torch.randn(1, 4, 3).double()
    expected = stats.norm(loc.numpy(), positive(raw).numpy()).logpdf(x.numpy()).sum(-1)
    found = Normal(Predicted())(torch.cat([loc, raw], dim=-1)).log_prob(x)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [1e-3, 0.5, 1.0, 3.0, 100.0, 1e4])
def test_a_learned_scale_starts_where_it_is_told(value: float) -> None:
    params, x = torch.zeros(1, 1, 4), torch.full((1, 1, 4), value)
    expected = 4 * stats.norm(0, value).logpdf(value)
    for scale in (Learned(initial=value), Learned((4,), initial=value), Known(value)):
        assert float(Normal(scale)(params).log_prob(x).detach()) == pytest.approx(expected, abs=1e-3)


def test_a_scale_per_dimension_belongs_to_its_dimension() -> None:
    scale = Learned((3,)).double()
    with torch.no_grad():
        scale.raw.copy_(unpositive(torch.tensor([0.1, 1.0, 10.0]).double()))
    params = torch.zeros(2, 5, 3).double()
    torch.testing.assert_close(Normal(scale)(params).stddev[1, 4], torch.tensor([0.1, 1.0, 10.0]).double())


def test_positive_is_one_at_zero_and_undone_by_unpositive() -> None:
    assert float(positive(torch.zeros(()).double())) == pytest.approx(1.0, abs=1e-12)
    values = torch.logspace(-5, 5, 41, dtype=torch.float64)
    torch.testing.assert_close(positive(unpositive(values)), values, rtol=1e-9, atol=0)


def test_positive_never_reaches_zero() -> None:
    raw = torch.tensor([-1e4, -80.0, 0.0, 80.0], requires_grad=True)
    scale = positive(raw)
    scale.log().sum().backward()
    assert (scale >= 1e-6).all()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("make", [Known, lambda value: Learned(initial=value)], ids=["known", "learned"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_scale_that_is_not_positive_is_refused(make: type[Known], value: float) -> None:
    with pytest.raises(UsageError, match=f"{value}"):
        make(value)
