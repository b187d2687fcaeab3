"""Traversals: one coordinate goes along the prior's spread, the others stay; the same at the model's face."""

from __future__ import annotations

import pytest
import torch

import vaekit
from vaekit.common.errors import UsageError
from vaekit.uses.traverse import prior_scale, traversals


def test_one_coordinate_goes_and_the_others_stay() -> None:
    code = torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    centre, spread = torch.arange(4.0).reshape(2, 2), torch.full((2, 2), 10.0)
    ways = traversals(code, (), centre, spread, torch.tensor([-1.0, 0.0, 2.0]))
    assert ways.shape == (4, 3, 2, 2)
    for at, way in enumerate(ways):
        flat = way.flatten(1)
        assert flat[:, at].tolist() == [at - 10.0, at, at + 20.0]
        others = [place for place in range(4) if place != at]
        assert (flat[:, others] == code.flatten()[others]).all()


def test_the_scale_of_a_prior_is_that_of_its_draws() -> None:
    model = vaekit.build("mixture_prior_vae", (6,), latent=2).model
    with torch.no_grad():
        torch.manual_seed(0)
        centre, spread = prior_scale(model, "z", {}, draws=20_000)
        torch.manual_seed(1)
        drawn = model.sample(20_000).latent("z")
    error = 5 * drawn.std(0) * (2 / 20_000) ** 0.5
    assert ((centre - drawn.mean(0)).abs() < error).all()
    assert ((spread - drawn.std(0)).abs() < error).all()


def test_the_models_face_decodes_the_ways() -> None:
    torch.manual_seed(0)
    rows = torch.rand(60, 5)
    fitted = vaekit.fit(*vaekit.build("vae", (5,), latent=3), rows, max_epochs=2, verbose=False)
    found = fitted.traverse(rows[:1], coordinates=(2,), steps=5, reach=2.0)
    assert found.shape == (1, 5, 5)
    code = fitted.encode(rows[:1])[0]
    for step, at in enumerate(torch.linspace(-2, 2, 5)):
        moved = code.clone()
        moved[2] = at
        # The prior's centre and spread are those of 1000 draws.
        assert torch.allclose(found[0, step], fitted.decode(moved[None])[0], atol=0.05)
    assert fitted.traverse(steps=3).shape == (3, 3, 5)
    with pytest.raises(UsageError, match="no coordinate 3"):
        fitted.traverse(coordinates=(3,))
    with pytest.raises(UsageError, match="at least 2 steps"):
        fitted.traverse(steps=1)
