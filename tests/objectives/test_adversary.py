"""Adversaries: what they learn is what theory says, and what each player is told is its own goal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import logsigmoid

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Latent, Parametric, Trace
from vaekit.families import Known
from vaekit.families import Normal as NormalFamily
from vaekit.nets import Dense
from vaekit.objectives import (
    Adversary,
    CodeDiscriminator,
    CodeNorm,
    Critic,
    Elbo,
    Enumerate,
    FactorDiscriminator,
    Objective,
    Stakes,
    Step,
    Terms,
)
from vaekit.objectives.adversary import shuffled_coordinates
from vaekit.priors import standard_normal
from vaekit.recipes import build
from vaekit.train.steps.players import differentiate, players_of

STEP = Step.first()


class Itself(nn.Module):
    """The mean is x itself, the scale is what 0 stands for: N(x, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.zeros_like(x)], dim=-1)


def copier() -> VAE:
    """q(z | x) = N(x, I), with a decoder that learns."""
    decoder = Parametric(nn.Linear(2, 2), NormalFamily(Known(1.0)), "z")
    return VAE(decoder, z=Latent(standard_normal(2), Parametric(Itself(), NormalFamily(), "x")))


def discriminator(width: int = 32) -> nn.Module:
    return Dense((width, width), activation="silu").down([(2,)], (1,))


def play(model: VAE, objective: Objective, draw: Callable[[], Tensor], steps: int) -> None:
    """Let every player learn."""
    players = players_of(model, objective, lambda weights: torch.optim.Adam(weights, lr=3e-3))
    for _ in range(steps):
        differentiate(players, objective(model, Batch(draw()), STEP))
        for player in players:
            player.optimizer.step()


def test_the_factor_discriminator_learns_the_total_correlation() -> None:
    """Codes are N(0, C + I): its log-odds tend to log q(z) - sum_d log q(z_d), whose mean is TC."""
    C = torch.tensor([[1.0, 1.2], [1.2, 2.0]])
    rows, joint = MultivariateNormal(torch.zeros(2), C), MultivariateNormal(torch.zeros(2), C + torch.eye(2))
    adversary = FactorDiscriminator(discriminator())
    play(copier(), Elbo() + adversary, lambda: rows.sample((1000,)), 500)
    z = joint.sample((20_000,))
    with torch.no_grad():
        found = adversary.log_odds(z.unsqueeze(0))[0]
    log_ratio = joint.log_prob(z) - Normal(torch.zeros(2), joint.variance.sqrt()).log_prob(z).sum(-1)
    exact = 0.5 * (joint.variance.log().sum() - joint.covariance_matrix.logdet())
    assert abs(float(found.mean() - exact)) < 0.15 * float(exact)
    assert float(torch.stack([found, log_ratio]).corrcoef()[0, 1]) > 0.95


def test_shuffled_coordinates_have_the_same_marginals_and_no_correlation() -> None:
    codes = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.9], [0.9, 1.0]])).sample((2, 4000))
    shuffled = shuffled_coordinates(codes)
    for sample in range(2):
        assert torch.equal(shuffled[sample].sort(0).values, codes[sample].sort(0).values)
        assert abs(float(shuffled[sample].T.corrcoef()[0, 1])) < 5 / 4000**0.5
    maps = shuffled_coordinates(torch.randn(1, 5, 2, 3, 3))
    assert maps.shape == (1, 5, 2, 3, 3)


def test_the_code_discriminator_learns_the_ratio_of_prior_and_codes() -> None:
    """Prior N(0, I), codes N(m, 2 I): log-odds tend to the log-ratio of their densities."""
    rows = MultivariateNormal(torch.tensor([1.0, -1.0]), torch.eye(2))
    adversary = CodeDiscriminator(discriminator())
    play(copier(), Elbo() + adversary, lambda: rows.sample((1000,)), 400)
    codes = MultivariateNormal(torch.tensor([1.0, -1.0]), 2 * torch.eye(2))
    z = codes.sample((5000,))
    with torch.no_grad():
        found = adversary.log_odds(z.unsqueeze(0))[0]
    exact = Normal(0.0, 1.0).log_prob(z).sum(-1) - codes.log_prob(z)
    assert float((found - exact).abs().mean()) < 0.35
    assert float(torch.stack([found, exact]).corrcoef()[0, 1]) > 0.97


def test_codes_that_play_against_it_become_like_the_prior() -> None:
    """An encoder that starts far off is led to N(0, I) by the game alone."""
    encoder = Parametric(nn.Linear(2, 4), NormalFamily(), "x")
    with torch.no_grad():
        encoder.params.net.bias.add_(torch.tensor([2.0, -2.0, 0.0, 0.0]))  # type: ignore[union-attr,operator]
    model = VAE(Parametric(nn.Linear(2, 2), NormalFamily(Known(5.0)), "z"), z=Latent(standard_normal(2), encoder))
    objective = Elbo(beta=0.0) + CodeDiscriminator(discriminator(), weight=5.0)
    play(model, objective, lambda: torch.randn(500, 2), 1000)
    with torch.no_grad():
        z = model.trace(torch.randn(5000, 2)).context["z"][0]
    assert float(z.mean(0).norm()) < 1.0  # it starts at sqrt(8), and the game goes round its end
    assert 0.5 < float(z.std(0).min()) < float(z.std(0).max()) < 1.6


class Tug(Adversary):
    """A bilinear game: the model loses what w says of its codes, and w gains it."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.5, -0.25]))

    def forward(self, trace: Trace, batch: Batch, step: Step) -> Stakes:
        pull = (trace.context["z"] * self.w).sum(-1).mean(0)
        return Stakes(pull, pull)


def learner() -> VAE:
    return VAE(
        Parametric(nn.Linear(2, 2), NormalFamily(Known(1.0)), "z"),
        z=Latent(standard_normal(2), Parametric(nn.Linear(2, 4), NormalFamily(), "x")),
    )


def test_each_player_gets_the_gradient_of_its_own_goal() -> None:
    """From one forward pass: the model's is that of value alone, the adversary's that of rival alone."""
    model, adversary, x = learner(), Tug(), torch.randn(7, 2)
    objective = Elbo() + adversary

    def terms() -> Terms:
        with seeded(1):
            return objective(model, Batch(x), STEP)

    weights = list(model.parameters())
    of_value = torch.autograd.grad(-terms().value.mean(), weights)
    rival = terms().rival
    assert rival is not None
    (of_rival,) = torch.autograd.grad(-rival.mean(), [adversary.w])
    players = players_of(model, objective, lambda chosen: torch.optim.SGD(chosen, lr=1.0))
    differentiate(players, terms())
    for weight, slope in zip(weights, of_value, strict=True):
        torch.testing.assert_close(weight.grad, slope)
    torch.testing.assert_close(adversary.w.grad, of_rival)
    assert [len(player.parameters) for player in players] == [len(weights), 1]


@pytest.mark.parametrize("name", ["factor_vae", "aae", "vae_gan"])
def test_no_players_step_moves_the_others_parameters(name: str) -> None:
    model, objective = build(name, (1, 8, 8), latent=3)
    rivals = objective.rivals()
    before = [weight.detach().clone() for weight in (*model.parameters(), *rivals)]
    players = players_of(model, objective, lambda weights: torch.optim.SGD(weights, lr=0.1))
    differentiate(players, objective(model, Batch(torch.rand(6, 1, 8, 8)), STEP))
    players[0].optimizer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, (*model.parameters(), *rivals), strict=True)]
    own = len(list(model.parameters()))
    assert any(moved[:own])
    assert not any(moved[own:])
    players[1].optimizer.step()
    assert any(not torch.equal(old, new) for old, new in zip(before[own:], rivals, strict=True))


def test_the_rivals_are_known_wherever_the_adversary_sits() -> None:
    adversary = Tug()
    for objective in (Elbo() + adversary, Elbo() + CodeNorm() + adversary, Elbo() + adversary + CodeNorm()):
        assert [id(weight) for weight in objective.rivals()] == [id(adversary.w)]
        assert not objective.is_bound
        assert objective(learner(), Batch(torch.randn(3, 2)), STEP).rival is not None
    assert len(Enumerate("y", Elbo() + adversary).rivals()) == 1
    assert Elbo().rivals() == []
    both = Elbo() + Tug() + Tug()
    assert len(both.rivals()) == 2


def test_values_are_what_is_written() -> None:
    """The stakes of both latent discriminators, from their own log-odds."""
    model, x = learner(), torch.randn(5, 2)
    for kind in (FactorDiscriminator, CodeDiscriminator):
        adversary = kind(discriminator(), weight=3.0)
        with seeded(1):
            alone = Elbo()(model, Batch(x), STEP)
        with seeded(1):
            terms = (Elbo() + adversary)(model, Batch(x), STEP)
        with seeded(1):
            odds = adversary.log_odds(model.trace(x).context["z"])[0]
        loss = odds if kind is FactorDiscriminator else -logsigmoid(odds)
        torch.testing.assert_close(terms.value, alone.value - 3 * loss)
        torch.testing.assert_close(terms.elbo, alone.elbo)


def test_a_critic_charges_the_encoder_for_likeness_alone() -> None:
    """The game is the decoder's: without likeness an encoder gets from it what the ELBO gives, and nothing more."""
    model, x = learner(), torch.randn(6, 2)
    encoder, decoder = (list(part.parameters()) for part in (model.parts, model.likelihood))
    slopes = []
    for objective in (Elbo(), Elbo() + Critic(nn.Linear(2, 4), nn.Linear(4, 1), likeness=0.0, gamma=5.0)):
        with seeded(1):
            value = objective(model, Batch(x), STEP).value.mean()
        slopes.append([torch.autograd.grad(value, part, retain_graph=True) for part in (encoder, decoder)])
    for alone, played in zip(slopes[0][0], slopes[1][0], strict=True):
        torch.testing.assert_close(alone, played)
    assert any(not torch.allclose(alone, played) for alone, played in zip(slopes[0][1], slopes[1][1], strict=True))


def test_a_critics_likeness_is_the_distance_of_features() -> None:
    model, x = learner(), torch.randn(6, 2)
    critic = Critic(nn.Linear(2, 4), nn.Linear(4, 1), likeness=3.0, gamma=0.0)
    with seeded(1):
        trace = model.trace(x)
    loss, gain = critic(trace, Batch(x), STEP)
    features = critic.features(trace.likelihood.mean[0]), critic.features(x)
    torch.testing.assert_close(loss, 1.5 * (features[0] - features[1]).square().sum(-1))
    assert gain.shape == (6,)
    assert (gain < 0).all()


def test_a_latent_that_is_not_there_is_named() -> None:
    objective = Elbo() + FactorDiscriminator(discriminator(), latent="w")
    with pytest.raises(UsageError, match=r"latent in FactorDiscriminator: 'w'.*known are z"):
        objective.check(learner())
