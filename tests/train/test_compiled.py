"""Compiled gradients are those of autograd, draws included."""

from __future__ import annotations

import shutil

import pytest
import torch

from train.toys import rows
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import Batch
from vaekit.objectives import Step
from vaekit.recipes import build
from vaekit.train import Settings, train
from vaekit.train.steps.compiled import CompiledGradients
from vaekit.train.steps.updates import Updates
from vaekit.train.steps.ways import way_through

needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling on a CPU needs g++")
X = (torch.arange(16 * 6).reshape(16, 6) % 7 / 7).contiguous()


def compare(recipe: str, trace_only: bool) -> None:
    model, objective = build(recipe, (6,), latent=2, hidden=(8,))
    model.train()
    step, batch = Step.first(), Batch(X)
    with seeded(0):
        expected = objective(model, batch, step)
        (-expected.value.mean()).backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    compiled = CompiledGradients(model, objective)
    if trace_only:
        compiled._compiled = compiled._gradients
    else:
        compiled.compile(batch, step)
    with seeded(0):
        found = compiled(batch, step)
    torch.testing.assert_close(found.value, expected.value.detach())
    torch.testing.assert_close(found.elbo, expected.elbo.detach())
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name])


@pytest.mark.parametrize("recipe", ["vae", "beta_vae", "iwae", "dreg", "hvae", "mixture_prior_vae", "beta_tcvae"])
def test_the_function_that_is_compiled_has_the_terms_and_gradients_of_autograd(recipe: str) -> None:
    compare(recipe, trace_only=True)


@needs_a_compiler
def test_compiled_it_still_has_them() -> None:
    compare("vae", trace_only=False)


@pytest.mark.parametrize(
    ("recipe", "named"), [("aae", "adversary"), ("factor_vae", "adversary"), ("geco_vae", "learns")]
)
def test_what_cannot_be_compiled_is_refused_by_name(recipe: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        CompiledGradients(*build(recipe, (6,), latent=2)).compile(Batch(X), Step.first())


@needs_a_compiler
def test_a_compiled_run_is_the_run_that_is_not_compiled() -> None:
    found = []
    for compile_first in (False, True):
        model, objective = build("vae", (6,), latent=2, hidden=(8,))
        settings = Settings(max_epochs=2, batch_size=7, compile=compile_first)
        found.append(train(model, objective, rows(X, batch_size=7), settings=settings).history[-1].train.elbo)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_what_cannot_be_compiled_is_trained_as_it_is_and_the_way_says_why() -> None:
    updates = Updates(*build("geco_vae", (6,), latent=2), Settings(compile=True), torch.device("cpu"))
    way = way_through(updates, rows(X))
    list(way.epoch(seed=0))
    assert way.words.startswith("step by step, not compiled (")
    assert "learns outside the gradient" in way.words
