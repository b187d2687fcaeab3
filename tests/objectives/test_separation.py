"""Separation: its parts by hand, for a posterior whose worst direction is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import Known, Normal, OneHot
from vaekit.objectives import Elbo, Enumerate, Separated, SeparationWeights, SmallMoves, Step
from vaekit.objectives.separation import near_distance
from vaekit.priors import classes
from vaekit.recipes import build


def two_classes(net: nn.Module | None = None) -> VAE:
    """q(y | x) is a softmax of an affine map: along the difference of its rows, and only along it, q changes most."""
    tell = nn.Linear(3, 2) if net is None else net
    return VAE(
        Parametric(nn.Linear(2, 3), Normal(Known(1.0)), "y"), y=Latent(classes(2), Parametric(tell, OneHot(), "x"))
    )


def beside(model: VAE, x: Tensor, **weights: float) -> Tensor:
    """What the separation adds to the objective."""
    inner = Enumerate("y", Elbo())
    chosen = SeparationWeights(**{"smooth": 0.0, "spread": 0.0, "certain": 0.0, **weights})
    with seeded(0):
        plain = inner(model, Batch(x), Step.first())
    with seeded(0):
        found = Separated(inner, chosen)(model, Batch(x), Step.first())
    torch.testing.assert_close(found.elbo, plain.elbo)
    return found.value - plain.value


def belief(model: VAE, x: Tensor) -> Tensor:
    q: Tensor = model.parts["y"].posterior({"x": x.unsqueeze(0)}).mean[0]  # type: ignore[union-attr,operator]
    return q


def test_the_step_goes_where_the_posterior_changes_most() -> None:
    model, x = two_classes().double(), torch.randn(40, 3).double()
    rows = model.parts["y"].posterior.params.net.weight  # type: ignore[union-attr]
    along = (rows[0] - rows[1]).detach()  # type: ignore[index,operator]
    step = 0.3 * near_distance(x) * along / along.norm()
    q = belief(model, x)
    change = [(q * (q.log() - belief(model, x + sign * step).log())).sum(1) for sign in (-1, 1)]
    lost = -beside(model, x, smooth=2.0, radius=0.3)
    either = torch.minimum(*((lost - 2.0 * each).abs() for each in change))
    torch.testing.assert_close(either, torch.zeros(40).double(), rtol=0, atol=1e-6)


def test_a_move_costs_what_it_changes() -> None:
    model, x = two_classes().double(), torch.randn(40, 3).double()
    weights = SeparationWeights(smooth=0.0, spread=0.0, certain=0.0, alike=3.0)
    inner = Enumerate("y", Elbo())
    found = Separated(inner, weights, moves=lambda rows: 2 * rows)(model, Batch(x), Step.first())
    q, moved = belief(model, x), belief(model, 2 * x)
    lost = 3.0 * (q * (q.log() - moved.log())).sum(1)
    torch.testing.assert_close(found.elbo - found.value, lost)
    assert lost.min() > 0
    unmoved = Separated(inner, weights)(model, Batch(x), Step.first())
    torch.testing.assert_close(unmoved.value, unmoved.elbo)


def test_images_are_moved_and_other_rows_are_not() -> None:
    images, rows = (build("smooth_gm_vae", shape).objective for shape in ((1, 8, 8), (6,)))
    assert isinstance(images, Separated)
    assert isinstance(rows, Separated)
    assert images.moves == SmallMoves()
    assert rows.moves is None
    still = build("smooth_gm_vae", (1, 8, 8), alike=0.0).objective
    assert isinstance(still, Separated)
    assert still.moves is None


def test_the_entropies_are_those_of_the_batch_and_of_its_rows() -> None:
    model, x = two_classes().double(), torch.randn(40, 3).double()
    q = belief(model, x)
    mean = q.mean(0)
    together = -(mean * mean.log()).sum()
    torch.testing.assert_close(beside(model, x, spread=3.0), (3.0 * together).expand(40))
    torch.testing.assert_close(beside(model, x, certain=3.0), 3.0 * (q * q.log()).sum(1))


def test_a_near_row_is_near_whatever_the_scale() -> None:
    x = torch.randn(60, 2, 3)
    by_hand = (x[:, None] - x[None]).flatten(2).norm(dim=-1).sort(1).values[:, 2].mean()
    torch.testing.assert_close(near_distance(x), by_hand, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(near_distance(10 * x), 10 * near_distance(x), rtol=1e-3, atol=1e-3)
    assert float(near_distance(x[:1])) == 0.0


@pytest.mark.parametrize("momentum", [0.1, None])
def test_steps_leave_running_statistics_alone(momentum: float | None) -> None:
    norm = nn.BatchNorm1d(3, momentum=momentum)
    model = two_classes(nn.Sequential(norm, nn.Linear(3, 2))).train()
    reference = two_classes(nn.Sequential(nn.BatchNorm1d(3, momentum=momentum), nn.Linear(3, 2))).train()
    x = torch.randn(40, 3) + 5
    Separated(Enumerate("y", Elbo()), SeparationWeights(smooth=1.0))(model, Batch(x), Step.first())
    other = reference.parts["y"].posterior.params.net[0]  # type: ignore[union-attr,index]
    for _ in range(2):
        other(x)  # type: ignore[operator]
    torch.testing.assert_close(norm.running_mean, other.running_mean)  # type: ignore[union-attr]
    assert norm.momentum == momentum
    assert norm.num_batches_tracked == 2


def test_it_is_no_bound_and_needs_something_to_separate() -> None:
    assert not Separated(Enumerate("y", Elbo())).is_bound
    with pytest.raises(UsageError, match="put Enumerate"):
        Separated(Elbo())
    with pytest.raises(UsageError, match="0 or more"):
        SeparationWeights(smooth=-1.0)
    assert build("smooth_gm_vae", (6,)).objective.compares_pairs
