"""The training loop, on toys whose course is known by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from train.toys import FirstValue, Follow, Pull, centre_model, rows, weights_of
from vaekit.common.errors import TrainingDiverged, UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE
from vaekit.objectives import Constant, Cosine, Elbo, Iwae, Linear, Miwae, Step, Trimmed
from vaekit.objectives.gradients import DoublyReparameterised
from vaekit.objectives.importance import Weighted
from vaekit.recipes import build
from vaekit.train import OPTIMIZERS, Settings, mean_terms, train
from vaekit.train.ranks.strategy import Replicated
from vaekit.train.ranks.world import World
from vaekit.train.rows.source import order_seed
from vaekit.train.steps.players import Limits, Player
from vaekit.train.steps.updates import Updates

W = torch.tensor([3.0, -4.0])
"""Of length 5."""


def settings(**changed: Any) -> Settings:
    return Settings(**{"max_epochs": 2, "batch_size": 4, "learning_rate": 0.1, "optimizer": "sgd", **changed})


def pulled(x: Tensor, **changed: Any) -> Follow:
    """A run along the constant gradient W."""
    model = centre_model()
    follow = Follow(model)
    train(model, Pull(W), rows(x), settings=settings(**changed), observers=[follow])
    return follow


def small_vae(seed: int = 0) -> tuple[VAE, Elbo]:
    model, objective = build("vae", (6,), latent=2, hidden=(8,), seed=seed)
    assert isinstance(objective, Elbo)
    return model, objective


def state(model: VAE) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def trained(seed: int, **changed: Any) -> Tensor:
    model, objective = small_vae()
    chosen = settings(seed=seed, optimizer="adam", learning_rate=1e-2, **changed)
    return state(train(model, objective, rows(DIGITS), rows(DIGITS[:9]), chosen).model)


with seeded(0):
    DIGITS = (torch.rand(30, 6) < 0.3).float()


def test_sgd_goes_the_gradient_times_the_learning_rate_at_every_step() -> None:
    follow = pulled(torch.zeros(10, 2))
    torch.testing.assert_close(follow.moves, (0.1 * W).expand(6, 2))


def test_every_row_is_seen_once_an_epoch_and_the_last_batch_is_short() -> None:
    follow = pulled(torch.zeros(10, 2))
    assert follow.sizes == [4, 4, 2] * 2
    assert follow.plan is not None
    assert (follow.plan.epochs, follow.plan.batches, follow.plan.examples) == (2, 3, 10)


def test_rows_are_shuffled_anew_each_epoch_and_none_is_lost() -> None:
    x = torch.arange(10.0).unsqueeze(1)
    epochs = [torch.cat([batch.x for batch in rows(x).shuffled(seed)]).flatten() for seed in range(2)]
    assert not torch.equal(epochs[0], epochs[1])
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, x.flatten())


def test_a_short_batch_counts_by_its_size() -> None:
    x = torch.cat([torch.arange(10.0).unsqueeze(1), torch.zeros(10, 1)], dim=1)
    model = centre_model()
    history = train(model, FirstValue(), rows(x), rows(x * 2), settings(max_epochs=1)).history
    assert history[0].train.value == pytest.approx(4.5)
    assert mean_terms(model, FirstValue(), rows(x, batch_size=7)).value == pytest.approx(4.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_reaches_the_known_optimum(name: str) -> None:
    """The best centre of a normal is the mean of the data."""
    x = torch.randn(64, 2) + torch.tensor([1.0, -2.0])
    model = centre_model()
    steps = 400
    chosen = settings(optimizer=name, max_epochs=steps, batch_size=64, learning_rate=Cosine(0.2, 1e-4, steps))
    found = train(model, Elbo(), rows(x, 64), settings=chosen)
    slack = 0.05 if name == "adamw" else 1e-3
    torch.testing.assert_close(weights_of(found.model), x.mean(0), rtol=0, atol=slack)


def test_any_torch_optimiser_will_do() -> None:
    follow = pulled(torch.zeros(4, 2), optimizer=torch.optim.Rprop, max_epochs=1)
    torch.testing.assert_close(follow.moves, 0.1 * W.sign().unsqueeze(0))


@pytest.mark.parametrize("clip", [0.5, 4.9, 5.1, 100.0])
def test_clipping_bounds_the_gradient_and_keeps_its_direction(clip: float) -> None:
    follow = pulled(torch.zeros(4, 2), clip=clip)
    expected = 0.1 * W * min(1.0, clip / 5)
    torch.testing.assert_close(follow.moves, expected.expand_as(follow.moves), rtol=1e-4, atol=1e-6)


def test_a_schedule_of_the_learning_rate_is_in_force_at_its_step() -> None:
    schedule = Linear(0.0, 0.4, 4).then(Constant(0.1))
    follow = pulled(torch.zeros(10, 2), learning_rate=schedule)
    rates = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.1, 0.1])
    torch.testing.assert_close(follow.moves, rates.unsqueeze(1) * W)
    assert [epoch.learning_rate for epoch in follow.seen] == pytest.approx([0.0, 0.3])


def test_the_average_of_the_weights_is_what_is_kept() -> None:
    """The average starts at the first update's weights and moves a tenth of the way at each that follows."""
    model = centre_model()
    follow = Follow(model)
    x = torch.randn(10, 2) + 3
    kept = train(model, Elbo(), rows(x), settings=settings(max_epochs=3, ema=0.9), observers=[follow]).model
    average = follow.weights[1]
    for weights in follow.weights[2:]:
        average = 0.9 * average + 0.1 * weights
    torch.testing.assert_close(weights_of(kept), average, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(average, follow.weights[-1])


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_whole_numbers_are_not_averaged(decay: float) -> None:
    """An order of coordinates, or a table of sizes: the mean of a number and itself, rounded down, may be one less."""
    model = centre_model()
    model.register_buffer("order", torch.arange(300))
    model.register_buffer("mask", torch.tensor([True, False]))
    kept = train(model, Elbo(), rows(torch.randn(20, 2)), settings=settings(ema=decay)).model
    assert torch.equal(kept.order, torch.arange(300))  # type: ignore[arg-type]
    assert torch.equal(kept.mask, torch.tensor([True, False]))  # type: ignore[arg-type]


def test_the_average_is_what_is_held_to_the_held_out_rows() -> None:
    model, x = centre_model(), torch.randn(20, 2) + 3
    found = train(model, Elbo(), rows(x), rows(x[:5]), settings(max_epochs=1, ema=0.9))
    m = weights_of(found.model)
    expected = torch.distributions.Normal(m, 1.0).log_prob(x[:5]).sum(1).mean()
    assert found.history[0].held_out is not None
    assert found.history[0].held_out.elbo == pytest.approx(float(expected), rel=1e-5)


def overshooting() -> tuple[VAE, Any, Any, Settings]:
    """Held-out rows that lie on the way to the training rows: the held-out ELBO rises, then falls."""
    return (
        centre_model(),
        rows(torch.full((8, 2), 5.0)),
        rows(torch.full((6, 2), 2.0)),
        settings(max_epochs=60, learning_rate=0.03, patience=4, batch_size=4),
    )


def test_early_stopping_keeps_the_best_weights() -> None:
    model, training, held_out, chosen = overshooting()
    follow = Follow(model)
    found = train(model, Elbo(), training, held_out, chosen, [follow])
    scores = [epoch.score for epoch in found.history]
    best = max(scores)
    assert found.best_epoch == scores.index(best) + 1
    assert 1 < found.best_epoch < 60
    assert len(found.history) == found.best_epoch + 4
    assert torch.equal(weights_of(found.model), follow.weights[2 * found.best_epoch])
    assert mean_terms(found.model, Elbo(), held_out).elbo == best


def test_the_best_epoch_of_a_real_model_is_reproduced_by_its_weights() -> None:
    """Under the same draws, to the bit; the learning rate is large, so that the last epoch is not the best."""
    model, objective = small_vae()
    chosen = settings(seed=3, optimizer="adam", learning_rate=0.3, max_epochs=15, patience=15)
    found = train(model, objective, rows(DIGITS), rows(DIGITS[:9]), chosen)
    assert found.best_epoch < len(found.history)
    with seeded(3):
        again = mean_terms(found.model, Elbo(), rows(DIGITS[:9]))
    assert again.elbo == max(epoch.score for epoch in found.history)


@pytest.mark.parametrize("objective", [Iwae(20), Iwae(20, DoublyReparameterised()), Miwae(5, 4)])
def test_an_importance_weighted_run_is_judged_by_its_own_bound(objective: Weighted) -> None:
    """Its posterior serves many draws: the ELBO of the epoch that is kept need not be the greatest."""
    model, _ = small_vae()
    found = train(model, objective, rows(DIGITS), rows(DIGITS[:9]), settings(seed=3, optimizer="adam", max_epochs=6))
    bound = [epoch.held_out for epoch in found.history if epoch.held_out is not None]
    assert {means.measure for means in bound} == {"importance-weighted bound"}
    assert all(means.score == means.value > cast(float, means.elbo) for means in bound)
    assert found.best_epoch == max(found.history, key=lambda epoch: epoch.score).number
    with seeded(3):
        again = mean_terms(found.model, Weighted(objective.bound), rows(DIGITS[:9]), seed=3)
    assert again.value == max(means.value for means in bound)


def test_a_trimmed_run_is_judged_without_the_outliers_that_are_held_out() -> None:
    model, _ = small_vae()
    held_out = DIGITS[:10].clone()
    held_out[0] = 1 - held_out[0].round()
    trimmed = Trimmed(Elbo(), 0.2)
    found = train(model, trimmed, rows(DIGITS), rows(held_out), settings(seed=3, optimizer="adam", max_epochs=2))
    means = found.history[-1].held_out
    assert means is not None
    assert means.score == means.value > cast(float, means.elbo)


def test_without_held_out_rows_training_goes_to_the_end() -> None:
    model, training, _, chosen = overshooting()
    found = train(model, Elbo(), training, settings=chosen)
    assert len(found.history) == found.best_epoch == 60
    assert found.history[0].held_out is None
    torch.testing.assert_close(weights_of(found.model), torch.full((2,), 5.0), rtol=0.03, atol=0)


def test_the_same_seed_gives_the_same_model_to_the_bit() -> None:
    assert torch.equal(trained(5), trained(5))
    assert torch.equal(trained(5, ema=0.5, clip=1.0), trained(5, ema=0.5, clip=1.0))


def test_another_seed_gives_another_model() -> None:
    assert not torch.equal(trained(5), trained(6))


def test_training_draws_nothing_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    trained(5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_watches_a_run_does_not_change_it() -> None:
    """Neither looking at held-out rows nor an observer that draws."""
    model, objective = small_vae()
    alone = state(train(model, objective, rows(DIGITS), settings=settings(seed=5)).model)
    model, objective = small_vae()
    watched = train(model, objective, rows(DIGITS), rows(DIGITS[:9]), settings(seed=5, patience=9))
    if watched.best_epoch == 2:
        assert torch.equal(alone, state(watched.model))
    assert [epoch.train.elbo for epoch in watched.history] == [
        epoch.train.elbo for epoch in train(*small_vae(), rows(DIGITS), settings=settings(seed=5)).history
    ]


def test_mean_terms_are_the_same_under_the_same_draws_and_learn_nothing() -> None:
    model, objective = small_vae()
    before = state(model)
    with seeded(1):
        first = mean_terms(model, objective, rows(DIGITS))
    with seeded(1):
        second = mean_terms(model, objective, rows(DIGITS))
    assert first == second
    assert torch.equal(state(model), before)
    assert all(weight.grad is None for weight in model.parameters())


def test_value_and_elbo_are_two_numbers() -> None:
    model, _ = small_vae()
    history = train(model, Elbo(beta=4.0), rows(DIGITS), settings=settings()).history
    for epoch in history:
        assert epoch.train.elbo == pytest.approx(epoch.train.log_likelihood - epoch.train.total_kl)
        assert epoch.train.value == pytest.approx(epoch.train.log_likelihood - 4 * epoch.train.total_kl, rel=1e-5)


def test_the_model_comes_back_in_evaluation_mode() -> None:
    model, objective = small_vae()
    assert not train(model.eval(), objective, rows(DIGITS), settings=settings()).model.training


@pytest.mark.parametrize("batch", [1, 3])
def test_a_loss_that_is_not_a_number_stops_with_its_step_and_term(batch: int) -> None:
    x = torch.zeros(12, 2)
    x[rows(x).order(order_seed(0, epoch=1))[4 * (batch - 1)]] = torch.nan
    model = centre_model()
    follow = Follow(model)
    with pytest.raises(TrainingDiverged) as caught:
        train(model, Elbo(), rows(x), settings=settings(seed=0), observers=[follow])
    assert (caught.value.epoch, caught.value.step, caught.value.term) == (1, batch, "the log-likelihood")
    assert f"epoch 1, step {batch}" in str(caught.value)
    assert follow.said == ["begin", "end"]


def test_a_kl_that_is_not_a_number_is_named() -> None:
    model, objective = small_vae()
    with pytest.raises(TrainingDiverged, match="'z'"):
        train(model, objective, rows(DIGITS), settings=settings(learning_rate=1e30, max_epochs=3))


def test_weights_that_burst_at_the_last_step_are_found() -> None:
    model, objective = small_vae()
    with pytest.raises(TrainingDiverged) as caught:
        train(model, objective, rows(DIGITS, 30), settings=settings(learning_rate=math.inf, max_epochs=1))
    assert (caught.value.epoch, caught.value.step) == (1, 1)
    assert caught.value.term.startswith("the gradient of")


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_held_out_rows_that_give_no_number_stop_the_run(poison: float) -> None:
    with pytest.raises(TrainingDiverged, match="the held-out ELBO is not finite at epoch 1"):
        train(centre_model(), Elbo(), rows(torch.zeros(8, 2)), rows(torch.full((4, 2), poison)), settings())


def test_a_run_is_told_from_begin_to_end() -> None:
    assert pulled(torch.zeros(4, 2)).said == ["begin", "epoch 1", "epoch 2", "end"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_epochs": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"clip": 0.0},
        {"clip": -1.0},
        {"ema": 0.0},
        {"ema": 1.0},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-3},
        {"learning_rate": math.nan},
    ],
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(UsageError, match=f"{name} is {value}"):
        settings(**wrong)


def test_an_unknown_optimiser_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'adam'"):
        train(centre_model(), Elbo(), rows(torch.zeros(4, 2)), settings=settings(optimizer="adm"))


def test_a_pass_from_a_batch_on_is_the_tail_of_the_whole_pass() -> None:
    source = rows(torch.arange(10.0).unsqueeze(1))
    whole = [batch.x for batch in source.shuffled(7)]
    tail = [batch.x for batch in source.shuffled(7, start=1)]
    assert len(tail) == len(whole) - 1
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], tail, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_with_too_long_a_gradient_leaves_weights_and_optimiser_as_they_were(name: str) -> None:
    weight = nn.Parameter(torch.ones(3))
    player = Player([weight], Settings(optimizer=name).make_optimizer([weight], 0.1), goal=lambda terms: terms.value)
    gentle, fierce = torch.full((3,), 0.1), torch.full((3,), torch.inf)
    alone = nn.Parameter(torch.ones(3))
    other = Player([alone], Settings(optimizer=name).make_optimizer([alone], 0.1), goal=lambda terms: terms.value)
    for gradient in (fierce, gentle, 1e4 * gentle, gentle):
        weight.grad = gradient.clone()
        player.move(Limits(skip=1.0))
    for _ in range(2):
        alone.grad = gentle.clone()
        other.move(Limits())
    torch.testing.assert_close(weight.detach(), alone.detach())


@pytest.mark.parametrize("name", ["adam", "adamax", "momentum"])
def test_a_run_that_takes_no_update_is_refused(name: str) -> None:
    model, objective = small_vae()
    with pytest.raises(UsageError, match="skip is 1e-06: no update was taken"):
        train(model, objective, rows(DIGITS), None, settings(optimizer=name, skip=1e-6))
    train(model, objective, rows(DIGITS), None, settings(optimizer=name, skip=1e6))


def test_nets_in_bfloat16_learn_the_same_model_within_their_precision() -> None:
    results = []
    for precision in ("float32", "bfloat16"):
        model, objective = small_vae()
        trained = train(model, objective, rows(DIGITS), rows(DIGITS), settings(precision=precision, max_epochs=3))
        assert trained.history[-1].held_out is not None
        results.append(trained.history[-1].held_out.elbo)
    assert results[0] != results[1]
    assert results[0] == pytest.approx(results[1], rel=0.02)


def test_a_rate_that_lies_on_the_device_is_filled_there_and_another_is_a_number() -> None:
    weight, rate, step = nn.Parameter(torch.ones(1)), Linear(0.0, 1.0, 10), Step(torch.tensor(4))
    held = torch.tensor(0.0)
    for lr in (held, 0.0):
        player = Player([weight], torch.optim.Adam([weight], lr=lr), goal=lambda terms: terms.value)
        player.set_rate(rate, step, done=4)
        assert float(player.optimizer.param_groups[0]["lr"]) == pytest.approx(0.4)
    assert float(held) == pytest.approx(0.4)


def test_over_several_ranks_nothing_is_compiled_and_it_is_said() -> None:
    class Two(Replicated):
        def spread(self, model: VAE) -> None:
            """Nothing is exchanged here."""

    world = SimpleNamespace(size=2, rank=0, leads=True)
    updates = Updates(*small_vae(), settings(compile=True), torch.device("cpu"), Two(cast(World, world)))
    assert updates.words == ["not compiled (several ranks)"]
