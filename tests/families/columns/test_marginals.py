"""Marginals and warps: densities of the data as they came, and laws that are picked by what they foretell."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from families.columns.cases import NUMBERS
from vaekit.common.errors import UsageError
from vaekit.families.columns import Columns, Marginal, marginal_of
from vaekit.families.columns.choose import log_density, numeric, sharp
from vaekit.families.columns.warps import inward, log_ndtri, outward, warp_of

N = 2000


def normals(seed: int = 0) -> Tensor:
    return torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniforms(seed: int = 0) -> Tensor:
    return torch.rand(N, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def zeros_and(values: Tensor, share: float) -> Tensor:
    return torch.where(uniforms(9) < share, 0.0, values)


SKEWED = (1.2 * normals() + 3).exp()
HEAVY = normals() / (torch.distributions.Gamma(1.5, 1.5).sample((N,)).double()).sqrt()
TWO_PEAKS = torch.where(uniforms(1) < 0.5, normals() - 5, 0.3 * normals() + 5)
SHAPES = {
    "normal": ("numeric", 10 * normals() + 5, "normal", "standardise"),
    "small": ("numeric", SKEWED[:30], "normal", "standardise"),
    "positive and skewed": ("positive", SKEWED, "normal", "log"),
    "of any sign and skewed": ("numeric", SKEWED - 5, "normal", "sinh_arcsinh"),
    "two peaks": ("numeric", TWO_PEAKS, "peaks", "standardise"),
    "an outlier": ("numeric", torch.cat([normals(), torch.tensor([1e9])]), "student_t", "standardise"),
    "mostly 0": ("numeric", zeros_and(10 * normals() + 100, 0.9), "spiked", "standardise"),
    "a few values": ("numeric", (4 * uniforms()).round() + 1.5, "normal", "standardise"),
    "one value": ("numeric", torch.full((N,), 3.0), "normal", "standardise"),
    "counts far from 0": ("count", (8 * normals() + 60).round(), "rounded", "standardise"),
    "overdispersed counts": ("count", (10 * -uniforms().log()).floor(), "negative_binomial", "standardise"),
    "rare large counts": ("count", zeros_and((normals() + 8).exp().round(), 0.92), "spiked_counts", "sinh_arcsinh"),
    "a favourite count": (
        "count",
        torch.where(uniforms() < 0.4, 40.0, (9 * normals() + 40).round()),
        "spiked_counts",
        None,
    ),
    "counts that are none": ("count", normals(), "normal", "standardise"),
    "days": ("datetime", 300 * normals() - 9000, "normal", "standardise"),
}


@pytest.mark.parametrize(("kind", "values", "family", "warp"), SHAPES.values(), ids=SHAPES)
def test_the_law_fits_the_shape_and_is_never_much_worse_than_the_plain_one(
    kind: str, values: Tensor, family: str, warp: str | None
) -> None:
    found, plain = marginal_of(kind, (), values), marginal_of(kind, (), values, laws="plain")
    assert found.family == family
    assert warp is None or found.warp == warp
    assert (plain.family, plain.warp) == ("normal", "standardise")
    assert plain.shape[0] == pytest.approx(float(values.mean()))
    clean = values[values.abs() < 1e6].double()
    assert float(log_density(found, clean).mean()) > float(log_density(plain, clean).mean()) - 0.03


def test_sharp_laws_are_normal_but_for_atoms_and_peaks_that_stand_apart() -> None:
    zeros = torch.cat([torch.zeros(400), normals()[:600] + 5])
    assert marginal_of("numeric", (), zeros, laws="sharp").atoms == (0.0,)
    apart = torch.cat([normals() / 20, normals() / 20 + 3.0, normals() / 20 + 20.0])
    assert marginal_of("numeric", (), apart, laws="sharp").family == "peaks"
    near = torch.cat([normals() - 1.5, normals() + 1.5])
    for smooth in (near, normals().exp(), normals()):
        found = marginal_of("positive", (), smooth, laws="sharp")
        assert (found.family, found.warp) == ("normal", "standardise")


@pytest.mark.parametrize("kind", ["numeric", "positive", "count", "datetime"])
@pytest.mark.parametrize("values", [[], [torch.nan] * 5, [7.0], [0.0, 0.0, torch.nan], [1.0, 2.0]])
def test_hardly_any_values_make_a_column_that_works(kind: str, values: list[float]) -> None:
    found = marginal_of(kind, (), torch.tensor(values))
    law = Columns((found,))(torch.zeros(1, 1, Columns((found,)).width()))
    assert law.log_prob(torch.tensor([[1.0], [torch.nan]])).isfinite().all()
    assert found.holes == bool(torch.tensor(values).isnan().any())


@pytest.mark.parametrize(("kind", "levels", "family"), [("binary", 2, "bernoulli"), ("categorical", 5, "categorical")])
def test_levels_keep_the_shares_they_have_and_unseen_ones_a_little(kind: str, levels: int, family: str) -> None:
    found = marginal_of(kind, range(levels), torch.tensor([0.0, 0.0, 1.0, torch.nan]))
    assert (found.family, found.levels) == (family, levels)
    assert found.start[:2] == pytest.approx((2.5 / (3 + levels / 2), 1.5 / (3 + levels / 2)))
    assert all(share > 0 for share in found.start)


WORKED = torch.cat([(40 + 8 * normals()).round(), *(torch.full((n,), float(v)) for v, n in ((40, 900), (25, 90)))])


@pytest.mark.parametrize("shape", ["heavy tails", "two peaks"])
def test_beside_an_atom_the_law_is_as_good_as_a_plain_normal_beside_it(shape: str) -> None:
    """No law wins that a spiked column then cannot have: it would stand there with the numbers of another."""
    if shape == "heavy tails":
        rest = torch.distributions.StudentT(2.2).sample((3000,)) + 5
    else:
        rest = 3 * torch.randn(3000).sign() + 0.1 * torch.randn(3000)
    learn, test = torch.cat([torch.zeros(500), rest[:1500]]), torch.cat([torch.zeros(500), rest[1500:]])
    found, normal = (log_density(pick(learn), test).mean() for pick in (numeric, sharp))
    assert found > normal - 0.05


def test_values_that_are_often_repeated_are_atoms_where_all_is_to_be_exact() -> None:
    marginal = marginal_of("positive", (), WORKED, laws="exact")
    assert marginal.family == "spiked"
    assert marginal.atoms == (25.0, 40.0)
    atoms = torch.tensor(marginal.atoms).double()
    shares = (WORKED.unsqueeze(1) == atoms).double().mean(0)
    torch.testing.assert_close(log_density(marginal, atoms).exp(), shares, rtol=1e-2, atol=0)
    assert marginal_of("positive", (), WORKED).atoms == (40.0,)


@pytest.mark.parametrize("kind", ["numeric", "positive"])
def test_where_all_is_to_be_exact_smooth_numbers_have_no_atoms(kind: str) -> None:
    assert marginal_of(kind, (), SKEWED, laws="exact") == marginal_of(kind, (), SKEWED)
    assert not marginal_of(kind, (), (100 + 10 * normals()).round(), laws="exact").atoms


def test_where_all_is_to_be_exact_levels_of_an_order_have_no_score_in_common() -> None:
    values = torch.randint(4, (200,), generator=torch.Generator().manual_seed(0)).double()
    marginal = marginal_of("ordinal", "abcd", values, laws="exact")
    assert marginal == marginal_of("categorical", "abcd", values)


def test_many_levels_are_of_low_rank() -> None:
    assert marginal_of("categorical", range(500), torch.arange(500.0)).family == "low_rank_categorical"


def test_what_is_no_level_an_infinity_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="from 0 to 2"):
        marginal_of("ordinal", range(3), torch.tensor([3.0]))
    with pytest.raises(UsageError, match="infinity"):
        marginal_of("numeric", (), torch.tensor([torch.inf]))
    with pytest.raises(UsageError, match="did you mean 'numeric'"):
        marginal_of("numerical", (), torch.tensor([1.0]))


@pytest.mark.parametrize(
    "values", [SKEWED, HEAVY, TWO_PEAKS, zeros_and(normals(), 0.5)], ids=["skew", "t", "peaks", "0"]
)
@pytest.mark.parametrize("kind", ["numeric", "positive"])
def test_a_change_of_units_takes_the_logarithm_of_its_factor(kind: str, values: Tensor) -> None:
    here, there = marginal_of(kind, (), values), marginal_of(kind, (), 1000 * values)
    assert (here.family, here.warp) == (there.family, there.warp)
    off = log_density(there, 1000 * values) - log_density(here, values) + math.log(1000)
    off = torch.where(values == 0, off - math.log(1000), off) if here.atoms else off
    assert float(off.abs().max()) < 2e-3  # fits are searched for in floating point


@pytest.mark.parametrize("marginal", NUMBERS.values(), ids=NUMBERS)
def test_a_warp_is_undone_and_its_slope_is_the_derivative(marginal: Marginal) -> None:
    warp = warp_of(marginal.warp, [marginal.shape]).double()
    y = torch.linspace(-12, 12, 401, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    x = outward(warp, y).detach().requires_grad_()
    back = inward(warp, x)
    torch.testing.assert_close(back, y, rtol=1e-6, atol=1e-6)
    slope = torch.zeros_like(x)
    at = x
    for transform in reversed(warp.transforms(x)):
        before = transform.inv(at)
        slope, at = slope - transform.log_abs_det_jacobian(before, at), before
    (exact,) = torch.autograd.grad(back.sum(), x)
    torch.testing.assert_close(slope, exact.log(), rtol=1e-6, atol=1e-6)


def test_a_mixture_is_gaussianised_by_its_quantiles() -> None:
    of = NUMBERS["many peaks"]
    middle, unit, *_ = of.shape
    x = torch.linspace(-6, 6, 50, dtype=torch.float64)
    cdf = sum(w * stats.norm.cdf((x.numpy() - middle) / unit, m, s) for w, m, s in ((0.3, -1.0, 0.2), (0.7, 0.5, 0.4)))
    found = inward(warp_of(of.warp, [of.shape]).double(), x.unsqueeze(-1)).squeeze(-1)
    inside = (cdf > 1e-12) & (cdf < 1 - 1e-12)
    assert found.numpy()[inside] == pytest.approx(stats.norm.ppf(cdf[inside]), abs=1e-4)


def test_no_tail_is_too_far() -> None:
    log_mass = -torch.logspace(-0.1, 6, 200, dtype=torch.float64)
    torch.testing.assert_close(torch.special.log_ndtr(log_ndtri(log_mass)), log_mass, rtol=1e-9, atol=1e-9)
    assert log_ndtri(torch.tensor([-1e30])).isfinite().all()
    warp = warp_of("gaussianise", [NUMBERS["many peaks"].shape])
    assert inward(warp, torch.tensor([[-1e9], [1e9]])).isfinite().all()
