"""Many models at once: each member is what it would have become alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode

from train.test_principal_components import DIMENSIONS, LATENTS, best_log_likelihood, learned, linear_vae
from train.test_principal_components import ROWS as ROWS_OF_PCA
from vaekit import FittedVAE, UsageError, build, fit, fit_many
from vaekit.common.errors import TrainingDiverged
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch
from vaekit.core.meeting import ROW, introduce
from vaekit.data import Dataset, Encoding, Greys
from vaekit.many import mean_over
from vaekit.objectives import Cosine, Elbo, Linear, Objective, Step
from vaekit.recipes import RECIPES
from vaekit.train import Resident, Settings
from vaekit.train.many import stack
from vaekit.train.many.shares import Shares
from vaekit.train.many.stack import Stack
from vaekit.train.many.stacked import StackedUpdates, clip_each
from vaekit.train.rows.labels import as_vectors, labels_wanted
from vaekit.train.steps import traced
from vaekit.train.steps.joint import Joint

CPU = torch.device("cpu")
with seeded(0):
    ROWS = Dataset((torch.rand(110, 12) < torch.rand(12)).float(), torch.arange(110) % 3)
AUTOENCODER = partial(build, "ae", (12,), latent=2, hidden=(8,))
"""Nothing is drawn when it learns: what it becomes is decided by its weights, its rows and their order."""
TOGETHER = "3 models at once"


def quick(
    make: Callable[..., Any], seeds: Any = range(3), options: Any = None, **changed: Any
) -> tuple[FittedVAE, ...]:
    settings = {"max_epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "verbose": False, "device": "cpu"}
    return fit_many(make, changed.pop("data", ROWS), seeds, options, **{**settings, **changed})


def alone(make: Callable[..., Any], seed: int, **changed: Any) -> FittedVAE:
    settings = {"max_epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "verbose": False, "device": "cpu"}
    return fit(*make(seed=seed), ROWS, seed=seed, **{**settings, **changed})


def weights(fitted: FittedVAE) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in fitted.model.parameters()])


def assert_equal(ours: FittedVAE, theirs: FittedVAE) -> None:
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-3, atol=2e-5)
    assert ours.about.training["best_epoch"] == theirs.about.training["best_epoch"]
    assert len(ours.history) == len(theirs.history)
    for one, other in zip(ours.history, theirs.history, strict=True):
        assert one.train.value == pytest.approx(other.train.value, rel=1e-4)
        assert one.learning_rate == pytest.approx(other.learning_rate)
        assert (one.held_out is None) == (other.held_out is None)
        if one.held_out and other.held_out:
            assert one.held_out.log_likelihood == pytest.approx(other.held_out.log_likelihood, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax", "sgd", "momentum"])
@pytest.mark.parametrize("rates", [1e-2, (1e-2, 3e-3, 2e-2)])
def test_each_is_what_it_would_be_alone(optimizer: str, rates: Any) -> None:
    """110 rows, 11 held out, in batches of 16: the last one is short."""
    together = quick(AUTOENCODER, optimizer=optimizer, learning_rate=rates)
    for seed, ours in enumerate(together):
        rate = rates if isinstance(rates, float) else rates[seed]
        assert ours.about.training["together"] == TOGETHER
        assert_equal(ours, alone(AUTOENCODER, seed, optimizer=optimizer, learning_rate=rate))


@pytest.mark.parametrize(
    "settings",
    [
        {"clip": 0.05},
        {"ema": 0.8},
        {"learning_rate": Cosine(2e-2, 1e-3, steps=15)},
        {"validation": 0.0},
        {"batch_size": 99},
        {"precision": "float32", "clip": 1.0, "ema": 0.5, "optimizer": "momentum"},
    ],
)
def test_each_is_treated_as_if_alone(settings: dict[str, Any]) -> None:
    for seed, ours in enumerate(quick(AUTOENCODER, **settings)):
        assert_equal(ours, alone(AUTOENCODER, seed, **settings))


def test_schedules_of_the_rate_are_each_members_own() -> None:
    rates = (Cosine(2e-2, 1e-3, steps=15), Linear(0.0, 1e-2, steps=10), Cosine(5e-3, 1e-3, steps=9))
    for seed, ours in enumerate(quick(AUTOENCODER, learning_rate=rates)):
        assert_equal(ours, alone(AUTOENCODER, seed, learning_rate=rates[seed]))


def test_each_stops_at_its_own_time_with_its_own_best_weights() -> None:
    """Learning rates at which some soon get worse, and others go on to get better."""
    rates, settings = (2e-3, 0.15, 0.3), {"max_epochs": 12, "patience": 2}
    together = quick(AUTOENCODER, learning_rate=rates, **settings)
    assert len({len(ours.history) for ours in together}) > 1
    for seed, ours in enumerate(together):
        theirs = alone(AUTOENCODER, seed, learning_rate=rates[seed], **settings)
        assert ours.about.training["best_epoch"] == theirs.about.training["best_epoch"]
        assert len(ours.history) == len(theirs.history)
        torch.testing.assert_close(weights(ours), weights(theirs), rtol=0.01, atol=0.01)


def test_clipping_is_by_each_members_own_norm() -> None:
    with seeded(3):
        gradients = [torch.randn(3, 4, 2) * torch.tensor([0.01, 1.0, 100.0]).reshape(3, 1, 1), torch.randn(3)]
    expected = [each.clone() for each in gradients]
    for member in range(3):
        parts = [nn.Parameter(torch.zeros_like(each[member])) for each in gradients]
        for part, each in zip(parts, expected, strict=True):
            part.grad = each[member]
        nn.utils.clip_grad_norm_(parts, 2.0)
    clip_each(gradients, 2.0)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


NEVER_TOGETHER = {
    "aae": "two players",
    "vae_gan": "two players",
    "factor_vae": "two players",
    "vq_vae": "Python has to wait",
    "dirichlet_vae": "a derivative of its own",
    "exemplar_vae": "differs",
}
IMAGES = {"conv_vae", "vq_vae", "fsq_vae", "conv_ladder", "vae_gan"}


@pytest.mark.parametrize("name", ["vae", *NEVER_TOGETHER, "bernoulli_vae", "geco_vae", "vamp_vae", "m2", "ladder_vae"])
def test_every_recipe_is_trained_one_way_or_the_other(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shape, data = ((1, 8, 8), Dataset(torch.rand(40, 1, 8, 8).round())) if name in IMAGES else ((12,), ROWS)
    options = {"labels": 3} if "labels" in RECIPES[name].options else {}
    make = partial(build, name, shape, **options)
    fitted = quick(make, range(2), data=data, max_epochs=1, verbose=True)
    way = str(fitted[0].about.training["together"])
    assert way.startswith("one after another: ") == (name in NEVER_TOGETHER), way
    assert NEVER_TOGETHER.get(name, "2 models at once") in way
    assert way in capsys.readouterr().err
    assert all(epoch.train.value == epoch.train.value for one in fitted for epoch in one.history)
    assert not torch.equal(weights(fitted[0]), weights(fitted[1]))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"options": [{"latent": 2}, {"latent": 3}]}, "the shapes of the weights differ"),
        ({"options": [{"hidden": (8,)}, {"hidden": (8, 8)}]}, "the parts of the models differ"),
        ({"optimizer": torch.optim.Rprop}, "Rprop may not move each weight by itself"),
        ({"skip": 100.0}, "skipped"),
        ({"seeds": [4]}, "there is but one"),
    ],
)
def test_what_cannot_be_done_at_once_is_done_one_after_another(changed: dict[str, Any], reason: str) -> None:
    fitted = quick(partial(build, "vae", (12,)), **{"seeds": [0, 1], "max_epochs": 1, **changed})
    assert len(fitted) == len(changed.get("seeds", [0, 1]))
    assert reason in str(fitted[0].about.training["together"])


def test_one_after_another_is_one_fit_for_each_seed() -> None:
    make = partial(build, "vae", (12,), latent=2)
    for seed, ours in enumerate(quick(make, skip=1e9)):
        torch.testing.assert_close(weights(ours), weights(alone(make, seed, skip=1e9)), rtol=0, atol=0)


def drawing_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all members draw the numbers that each would draw alone."""

    def alike(function: Any, in_dims: Any, randomness: str) -> Any:
        return vmap(function, in_dims=in_dims, randomness="same")

    monkeypatch.setattr(stack, "vmap", alike)
    monkeypatch.setattr(stack, "FreshForEach", lambda nought: nullcontext())


PAIRS: dict[str, list[dict[str, Any]]] = {
    "beta_vae": [{"beta": 1.0}, {"beta": 4.0}],
    "cyclical_vae": [{}, {}],
    "sigma_vae": [{}, {}],
    "conv_vae": [{}, {}],
    "iwae": [{}, {}],
    "dreg": [{}, {}],
    "geco_vae": [{"distortion": 3.0, "speed": 0.02}, {"distortion": 4.0, "speed": 0.01}],
    "beta_tcvae": [{"beta": 2.0}, {"beta": 6.0}],
    "info_vae": [{}, {}],
    "vamp_vae": [{}, {}],
    "iaf_vae": [{}, {}],
    "ladder_vae": [{}, {}],
    "m2": [{"labels": 3}, {"labels": 3}],
    "gumbel_vae": [{}, {}],
    "fsq_vae": [{}, {}],
}


@pytest.mark.filterwarnings("ignore:.*performance drop.*")
@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_each_is_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws for all, another batch and other numbers for each."""
    drawing_alike(monkeypatch)
    shape = (1, 8, 8) if name in IMAGES else (12,)
    members = [Joint(*build(name, shape, seed=seed, **own)).train() for seed, own in enumerate(PAIRS[name])]
    with seeded(1):
        x = (torch.rand(2, 7, *shape) < 0.4).float()
    for joint in members:
        with seeded(2):
            introduce(joint.model, x.flatten(0, 1))
    wanted = labels_wanted(members[0].model, members[0].objective)
    given = {part: as_vectors(torch.arange(14) % 3, how.classes).unflatten(0, (2, 7)) for part, how in wanted.items()}
    given[ROW] = torch.arange(14).unflatten(0, (2, 7))
    step = Step(torch.tensor(5))
    together = Stack(members, CPU)
    with seeded(3):
        gradient, terms = together.gradient(Batch(x, given), step)
    for number, joint in enumerate(members):
        with seeded(3):
            alone = joint(Batch(x[number], {part: value[number] for part, value in given.items()}), step)
        (-alone.value.mean()).backward()
        assert float(terms[number, 0]) == pytest.approx(float(alone.value.detach().mean()), rel=1e-5)
        for part, weight in joint.named_parameters():
            expected = torch.zeros_like(weight) if weight.grad is None else weight.grad
            torch.testing.assert_close(
                gradient[part][number], expected, rtol=1e-3, atol=2e-4 * float(expected.abs().max()) + 1e-7
            )
        for part, value in joint.named_buffers():
            torch.testing.assert_close(together.held[part][number], value)


@pytest.mark.parametrize("name", ["vae", "geco_vae", "annealed_vae", "bernoulli_vae"])
def test_a_recorded_update_is_the_same_to_the_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With draws, buffers that learn, and a schedule that goes on."""

    def values(often: int) -> dict[str, Tensor]:
        monkeypatch.setattr(traced, "OFTEN", often)
        members = [Joint(*build(name, (12,), seed=seed)).train() for seed in range(2)]
        updates = StackedUpdates(Stack(members, CPU), [Settings(ema=0.9)] * 2, CPU)
        with seeded(9):
            for start in range(0, 80, 10):
                updates.update(Batch(ROWS.x[start : start + 10].expand(2, 10, 12)))
        return {**updates.stack.values, "the step": updates.step.count}

    recorded, asked = values(often=3), values(often=10**6)
    for part, value in asked.items():
        torch.testing.assert_close(recorded[part], value, rtol=0, atol=0)


def test_schedules_of_a_weight_are_each_members_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing_alike(monkeypatch)
    ramps = [Elbo(beta=Linear(0.0, 1.0, steps=steps)) for steps in (10, 20)]
    model = build("vae", (12,)).model
    with seeded(0):
        _, terms = Stack([Joint(model, ramp) for ramp in ramps], CPU).gradient(
            Batch(ROWS.x[:9].expand(2, 9, 12)), Step(torch.tensor(5))
        )
    value, log_likelihood, kl = terms.unbind(1)
    torch.testing.assert_close(value, log_likelihood - torch.tensor([0.5, 0.25]) * kl)


def test_every_linear_vae_reaches_the_maximum_likelihood() -> None:
    """Probabilistic PCA, from three beginnings; see test_principal_components."""
    generator = torch.Generator().manual_seed(1)
    factors = torch.randn(ROWS_OF_PCA, LATENTS, generator=generator) @ torch.randn(
        LATENTS, DIMENSIONS, generator=generator
    )
    x = 1.0 + factors + 0.5 * torch.randn(ROWS_OF_PCA, DIMENSIONS, generator=generator)
    steps = 450
    fitted = quick(
        lambda seed: (linear_vae(), Elbo(samples=4)),
        data=x,
        max_epochs=steps,
        batch_size=ROWS_OF_PCA,
        learning_rate=Cosine(0.05, 1e-5, steps),
        validation=0.0,
    )
    best, _ = best_log_likelihood(x.double())
    assert fitted[0].about.training["together"] == TOGETHER
    for one in fitted:
        reached = float(learned(one.model).evidence.log_prob(x.double()).mean())
        assert best - 0.01 < reached <= best + 1e-9
    assert (weights(fitted[0]) - weights(fitted[1])).abs().max() > 0.1


def test_options_that_are_numbers_do_what_they_do_alone() -> None:
    """A KL that weighs more is smaller."""
    weights_of_kl = [{"beta": beta} for beta in (0.2, 1.0, 20.0)]
    fitted = quick(partial(build, "beta_vae", (12,), latent=2), [0, 0, 0], weights_of_kl, max_epochs=25)
    assert fitted[0].about.training["together"] == TOGETHER
    kl = [one.history[-1].train.total_kl for one in fitted]
    assert kl[0] > 1.5 * kl[1] > 10 * kl[2]
    assert [float(dict(one.model.blueprint.options)["beta"]) for one in fitted] == [0.2, 1.0, 20.0]  # type: ignore[attr-defined]


def test_members_draw_different_noise() -> None:
    """Two that differ in nothing else come apart where something is drawn, and nowhere else."""
    same = quick(AUTOENCODER, [5, 5])
    torch.testing.assert_close(weights(same[0]), weights(same[1]), rtol=1e-4, atol=1e-6)
    apart = quick(partial(build, "vae", (12,), latent=2), [5, 5])
    assert (weights(apart[0]) - weights(apart[1])).abs().max() > 1e-3


class Mean(Objective):
    """Keeps the draws it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Parameter(torch.zeros(40, 6))

    def forward(self, model: VAE, batch: Batch, step: Step) -> Any:
        terms = Elbo()(model, batch, step)
        z = model.posterior(batch.x)["z"]
        noise = (z.value - z.distribution.mean) / z.distribution.stddev
        return type(terms)(terms.value * 0 + (self.seen * noise[0].detach()).sum(-1), terms.log_likelihood, terms.kl)


def test_the_noise_of_members_is_normal_and_unrelated() -> None:
    """The gradient by `seen` is the noise itself: 8 members, 40 rows, 6 latents."""
    members = [Joint(build("vae", (12,), latent=6, seed=seed).model, Mean()) for seed in range(8)]
    with seeded(0):
        gradient, _ = Stack(members, CPU).gradient(Batch(ROWS.x[:40].expand(8, 40, 12)), Step.first())
    noise = -40 * gradient["objective.seen"].reshape(8, -1)
    assert float(noise.mean()) == pytest.approx(0, abs=5 / noise.numel() ** 0.5)
    assert float(noise.var()) == pytest.approx(1, abs=5 * (2 / noise.numel()) ** 0.5)
    related = torch.corrcoef(noise) - torch.eye(8)
    assert float(related.abs().max()) < 5 / 240**0.5


class NoWaiting(TorchDispatchMode):
    """Refuses every value that Python would have to wait for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        return func(*args, **(kwargs or {}))


def test_an_update_waits_for_no_value() -> None:
    members = [Joint(*build("beta_vae", (12,), seed=seed, beta=1.0 + seed)).train() for seed in range(2)]
    settings = [Settings(learning_rate=rate, clip=1.0, ema=0.9, optimizer="sgd") for rate in (1e-3, 1e-2)]
    updates = StackedUpdates(Stack(members, CPU), settings, CPU)
    data = Shares(Resident(ROWS, Encoding(Greys()), 16, CPU), torch.arange(110).expand(2, 110))
    batches = list(data.shuffled([0, 1]))
    with NoWaiting():
        for batch in batches[:2]:
            updates.update(batch)


def test_a_member_that_diverges_is_named_by_its_seed() -> None:
    make = partial(build, "sigma_vae", (12,))
    for changed in ({}, {"skip": 1e30}):
        with pytest.raises(TrainingDiverged, match=r"seed 7\b.*epoch 1") as caught:
            quick(make, [5, 7], learning_rate=(1e-3, 1e30), **changed)
        assert "\n" not in str(caught.value)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    quick(partial(build, "vae", (12,)), range(2), max_epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_the_same_again_from_the_same_seeds() -> None:
    one, other = (quick(partial(build, "vae", (12,)), range(2), binarize="dynamic", max_epochs=2) for _ in range(2))
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(one, other, strict=True))


def test_labels_reach_each_member_with_its_rows() -> None:
    """Rows that say nothing of their label, which decides nothing else: only with the right label is it known."""
    with seeded(4):
        y = torch.randint(3, (240,))
    x = nn.functional.one_hot(y, 3).float().repeat(1, 2)
    make = partial(build, "cvae", (6,), labels=3, latent=1)
    fitted = quick(make, range(2), data=Dataset(x, y), max_epochs=40, batch_size=64, learning_rate=0.05)
    assert fitted[0].about.training["together"] == "2 models at once"
    for one in fitted:
        assert one.history[-1].train.total_kl < 0.1
        assert one.history[-1].train.elbo is not None
        assert one.history[-1].train.elbo > -0.5


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"seeds": []}, "no seeds"),
        ({"options": [{}]}, "1 of options for 3 seeds"),
        ({"learning_rate": [1e-3, 1e-2]}, "2 of learning_rate for 3 seeds"),
        ({"learning_rate": [1e-3, 1e-2, -1.0]}, "learning_rate is -1"),
    ],
)
def test_lists_that_do_not_match_are_refused(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        quick(AUTOENCODER, **changed)


def test_models_that_share_weights_are_refused() -> None:
    one = AUTOENCODER()
    with pytest.raises(UsageError, match="make gave the same weights to two models"):
        quick(lambda seed: one)


def test_error_bars_are_over_members() -> None:
    fitted = quick(partial(build, "vae", (12,), latent=2), range(3))
    scores = torch.tensor([one.evaluate(ROWS, samples=1).terms.elbo for one in fitted]).double()
    found = mean_over(fitted, lambda one: one.evaluate(ROWS, samples=1).terms.elbo or 0.0)
    assert found.value == pytest.approx(float(scores.mean()))
    assert found.stderr == pytest.approx(float(scores.std() / 3**0.5), rel=1e-3)
