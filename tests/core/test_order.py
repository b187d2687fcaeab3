"""In which order a model computes its parts, how often, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.linear_gaussian import LinearGaussian, TwoLevels
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Deterministic, Latent, Parametric, centre
from vaekit.core.order import depending_on, in_order
from vaekit.families import Bernoulli, Normal
from vaekit.objectives import Elbo, Step
from vaekit.priors import standard_normal


class Counting(nn.Module):
    """An affine net that counts how often it runs, and keeps the shape of what it saw last."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.calls = 0
        self.seen: tuple[int, ...] = ()

    def forward(self, *inputs: Tensor) -> Tensor:
        self.calls += 1
        joined = torch.cat(inputs, dim=-1)
        self.seen = tuple(joined.shape)
        y: Tensor = self.linear(joined)
        return y


def normal(inputs: int, outputs: int, *given: str) -> Parametric:
    return Parametric(Counting(inputs, 2 * outputs), Normal(), given)


def calls(part: Parametric | Deterministic) -> int:
    net = part.net if isinstance(part, Deterministic) else part.params.net
    assert isinstance(net, Counting)
    return net.calls


class Ladder:
    """x -> h; z2 ~ q(z2 | h), z1 ~ q(z1 | h, s); s = s(z2) is a state that both sides read."""

    def __init__(self) -> None:
        self.features = Deterministic(Counting(6, 5), "x")
        self.state = Deterministic(Counting(2, 4), "z2")
        self.top, self.bottom = normal(5, 2, "h"), normal(9, 3, "h", "s")
        self.prior, self.likelihood = normal(4, 3, "s"), Parametric(Counting(7, 6), Bernoulli(), ("z1", "s"))
        self.model = VAE(
            self.likelihood,
            z2=Latent(standard_normal(2), self.top),
            z1=Latent(self.prior, self.bottom),
            s=self.state,
            h=self.features,
        )

    @property
    def counts(self) -> dict[str, int]:
        parts = ("features", "state", "top", "bottom", "prior", "likelihood")
        return {name: calls(getattr(self, name)) for name in parts}


def test_a_trace_computes_each_part_once() -> None:
    ladder = Ladder()
    ladder.model.trace(torch.rand(5, 6), samples=4).log_weight.sum().backward()
    assert set(ladder.counts.values()) == {1}


def test_what_reads_x_alone_is_computed_once_however_many_samples() -> None:
    ladder = Ladder()
    ladder.model.trace(torch.rand(5, 6), samples=4)
    assert ladder.features.net.seen == (5, 6)
    assert ladder.top.params.net.seen == (5, 5)
    assert ladder.bottom.params.net.seen == (20, 9)


def test_sampling_runs_nothing_that_reads_x() -> None:
    ladder = Ladder()
    generation = ladder.model.sample(7)
    assert ladder.counts == {"features": 0, "state": 1, "top": 0, "bottom": 0, "prior": 1, "likelihood": 1}
    assert set(generation.context) == {"z2", "s", "z1"}


def test_the_posterior_alone_runs_nothing_that_explains_x() -> None:
    ladder = Ladder()
    draws = ladder.model.posterior(torch.rand(5, 6), samples=3)
    assert ladder.counts == {"features": 1, "state": 1, "top": 1, "bottom": 1, "prior": 0, "likelihood": 0}
    assert {name: tuple(draw.value.shape) for name, draw in draws.items()} == {"z2": (3, 5, 2), "z1": (3, 5, 3)}


def test_a_known_latent_is_neither_drawn_nor_inferred() -> None:
    ladder = Ladder()
    z2 = torch.randn(5, 2)
    trace = ladder.model.trace(torch.rand(5, 6), samples=3, given={"z2": z2})
    assert ladder.counts["top"] == 0
    assert trace.latents["z2"].drawn is None
    assert torch.equal(trace.latents["z2"].log_posterior, torch.zeros(1, 5))


def test_inference_may_run_against_the_order_of_generation() -> None:
    """q(z1 | x) q(z2 | z1), but p(z2) p(z1 | z2): two orders of the same parts."""
    model = TwoLevels.random().exact_bottom_up()
    assert model.inference_order == ("z1", "z2")
    assert model.generative_order == ("z2", "z1")
    assert [name for name, _ in model.latents()] == ["z2", "z1"]


def test_parts_may_be_declared_in_any_order() -> None:
    parts = dict(TwoLevels.random().exact_top_down().parts.items())
    model = VAE(TwoLevels.random().lower.likelihood("z1"), z1=parts["z1"], z2=parts["z2"])  # type: ignore[arg-type]
    assert model.inference_order == model.generative_order == ("z2", "z1")


def test_a_prior_that_knows_the_draw_is_recognised() -> None:
    truth = TwoLevels.random()
    assert truth.exact_bottom_up().entangled == {"z1"}
    assert not truth.exact_top_down().entangled
    assert not Ladder().model.entangled


def test_the_centre_of_a_posterior_is_its_mean_in_the_place_of_a_draw() -> None:
    truth = TwoLevels.random()
    x = truth.evidence.sample((6,))
    codes = truth.exact_top_down().posterior(x, take=centre)
    z2 = truth.top_down()["z2"].at(x).mean
    z1 = truth.top_down()["z1"].at(torch.cat([x, z2], dim=1)).mean
    torch.testing.assert_close(codes["z2"].value[0], z2)
    torch.testing.assert_close(codes["z1"].value[0], z1)


def decoder(*given: str, width: int = 2) -> Parametric:
    return Parametric(Counting(width, 6), Bernoulli(), given)


def latent(prior: Parametric | None = None, posterior: Parametric | None = None) -> Latent:
    return Latent(prior or standard_normal(2), posterior or normal(6, 2, "x"))


def test_a_missing_condition_is_named() -> None:
    model = VAE(decoder("z", "y", width=3), z=latent())
    assert model.conditions == {"y"}
    for ask in (lambda: model.sample(3), lambda: model.trace(torch.rand(3, 6)).log_lik):
        with pytest.raises(UsageError, match="reads 'y': pass given="):
            ask()
    assert model.sample(3, given={"y": torch.zeros(3, 1)}).draw().shape == (3, 6)


@pytest.mark.parametrize(
    ("parts", "likelihood", "complaint"),
    [
        ({"z": latent(prior=normal(6, 2, "x"))}, decoder("z"), "the prior of 'z' reads x"),
        ({"z": latent()}, decoder("z", "x"), "the likelihood reads x"),
        (
            {"z": latent(prior=normal(5, 2, "h")), "h": Deterministic(nn.Linear(6, 5), "x")},
            decoder("z"),
            "the prior of 'z' reads 'h', which depends on x",
        ),
        (
            {
                "z": latent(),
                "h": Deterministic(nn.Linear(6, 5), "x"),
                "g": Deterministic(nn.Linear(5, 2), "h"),
            },
            decoder("g"),
            "the likelihood reads 'g', which depends on x",
        ),
    ],
    ids=["prior reads x", "likelihood reads x", "prior reads features", "likelihood reads features of features"],
)
def test_a_generative_part_that_reads_x_is_refused(
    parts: dict[str, Latent | Deterministic], likelihood: Parametric, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        VAE(likelihood, **parts)


@pytest.mark.parametrize("side", ["priors", "posteriors"])
def test_parts_that_wait_for_each_other_are_refused(side: str) -> None:
    circle = {"a": normal(2, 2, "b"), "b": normal(2, 2, "a")}
    if side == "priors":
        parts = {name: latent(prior=part) for name, part in circle.items()}
    else:
        parts = {name: latent(posterior=part) for name, part in circle.items()}
    with pytest.raises(UsageError, match=f"the {side} of 'a', 'b' wait for each other"):
        VAE(decoder("a"), **parts)


def test_a_latent_that_reads_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="'z' wait"):
        VAE(decoder("z"), z=latent(posterior=normal(8, 2, "x", "z")))


def test_x_is_the_name_of_the_data() -> None:
    with pytest.raises(UsageError, match="name of the data"):
        VAE(decoder("x"), x=latent())


@pytest.mark.parametrize("prior", [1, 5])
def test_a_prior_of_another_shape_than_its_posterior_is_refused(prior: int) -> None:
    """Broadcasting would count a prior of one coordinate, or a posterior of one, several times."""
    model = VAE(decoder("z"), z=latent(prior=standard_normal(prior)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=rf"'z' has the shape \(2,\), but its prior is over \({prior},\)"):
        Elbo()(model, Batch(torch.rand(3, 6)), Step.first())


def test_dependence_is_found_through_others() -> None:
    reads = {"h": ("x",), "g": ("h", "y"), "f": ("y",), "e": ("g", "f")}
    assert depending_on("x", reads) == {"x", "h", "g", "e"}
    assert depending_on("f", reads) == {"f", "e"}


def test_order_keeps_the_declared_one_where_it_may() -> None:
    assert in_order({"a": (), "b": (), "c": ("z",)}, "parts") == ("a", "b", "c")
    assert in_order({"c": ("b",), "b": ("a",), "a": ("x",)}, "parts") == ("a", "b", "c")


def test_the_trace_of_one_row_is_that_of_the_row_among_others() -> None:
    """No part mixes rows: with the exact posterior, and with features shared."""
    truth = LinearGaussian.random()
    model, x = truth.model(truth.exact.full_normal("x")), truth.evidence.sample((5,))
    alone = torch.cat([model.trace(row.unsqueeze(0)).log_weight for row in x], dim=1)
    torch.testing.assert_close(alone, model.trace(x).log_weight, rtol=0, atol=1e-10)
