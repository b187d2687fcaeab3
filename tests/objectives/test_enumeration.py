"""Enumeration: a discrete latent is summed out as by hand, and taken as known where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from core.linear_gaussian import LinearGaussian
from core.statistics import SIGMAS, stderr
from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import (
    VAE,
    Batch,
    Conditional,
    Context,
    Deterministic,
    Fixed,
    Latent,
    Parametric,
)
from vaekit.families import Known, OneHot
from vaekit.families import Normal as NormalFamily
from vaekit.objectives import (
    CodeNorm,
    DipII,
    Elbo,
    Enumerate,
    Iwae,
    Mmd,
    Objective,
    Rloo,
    Step,
    TargetRate,
    Terms,
    coordinate_kl,
)
from vaekit.objectives.enumeration import enumerated
from vaekit.priors import classes, standard_normal
from vaekit.recipes import build

K, X = 3, 4


class Joined(nn.Module):
    """A linear map of its inputs, joined."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        joined: Tensor = self.linear(torch.cat(inputs, dim=-1))
        return joined


def classifier(given: str = "x", inputs: int = X) -> Parametric:
    return Parametric(nn.Linear(inputs, K), OneHot(), given)


def m2() -> VAE:
    """q(y | x), q(z | x, y), p(x | z, y)."""
    return VAE(
        Parametric(Joined(2 + K, X), NormalFamily(Known(0.7)), ("z", "y")),
        y=Latent(classes(K), classifier()),
        z=Latent(standard_normal(2), Parametric(Joined(X + K, 4), NormalFamily(), ("x", "y"))),
    ).double()


def mixture() -> VAE:
    """A mixture of normals as a VAE with nothing but its class: log p(x) is known."""
    return VAE(
        Parametric(nn.Linear(K, X), NormalFamily(Known(0.7)), "y"),
        y=Latent(classes(K), classifier()),
    ).double()


def of(model: VAE, name: str) -> Latent:
    latent = model.parts[name]
    assert isinstance(latent, Latent)
    return latent


def belief(model: VAE, x: Tensor) -> Tensor:
    """q(y | x), (row, class)."""
    q: Tensor = of(model, "y").posterior({"x": x.unsqueeze(0)}).mean[0]
    return q


def terms(objective: Objective, model: VAE, batch: Batch) -> Terms:
    with seeded(5):
        found: Terms = objective(model, batch, Step.first())
    return found


def one_hot(indices: list[int]) -> Tensor:
    """One-hot vectors, NaN for -1."""
    known = torch.tensor(indices)
    vectors = nn.functional.one_hot(known.clamp(min=0), K).double()
    return vectors.masked_fill((known < 0).unsqueeze(1), torch.nan)


def test_it_is_the_sum_by_hand() -> None:
    """Class by class, each with the label clamped, in the draws that the enumeration itself makes."""
    model, x = m2(), torch.randn(5, X).double()
    enumerated = terms(Enumerate("y", Elbo()), model, Batch(x))
    labels = torch.eye(K).double().repeat_interleave(5, 0)
    inner = terms(Elbo(), model, Batch(x.repeat(K, 1), {"y": labels}))
    q = belief(model, x)
    by_hand = torch.zeros(5).double()
    for k in range(K):
        rows = slice(5 * k, 5 * k + 5)
        by_hand += q[:, k] * (inner.value[rows] - q[:, k].log())
    torch.testing.assert_close(enumerated.value, by_hand)
    torch.testing.assert_close(enumerated.elbo, by_hand)
    kl = (q * (q.log() + torch.tensor(K).log())).sum(1)
    torch.testing.assert_close(enumerated.kl["y"], kl)


def test_with_nothing_else_to_draw_it_has_no_noise_and_reaches_the_evidence() -> None:
    """Of a mixture of normals, at the exact responsibilities: log p(x) itself."""
    model, x = mixture(), torch.randn(6, X).double()
    centres = model.likelihood({"y": torch.eye(K).double().unsqueeze(0)}).mean[0]
    log_joint = Normal(centres, 0.7).log_prob(x.unsqueeze(1)).sum(-1) - torch.tensor(K).log()
    value = Enumerate("y", Elbo())(model, Batch(x), Step.first()).value
    assert (value <= log_joint.logsumexp(1)).all()
    weights = 0.7**-2 * centres
    exact = classifier()
    with torch.no_grad():
        exact.params.net.weight.copy_(weights)  # type: ignore[union-attr,operator]
        exact.params.net.bias.copy_(-0.5 * (centres * weights).sum(1))  # type: ignore[union-attr,operator]
    model = VAE(model.likelihood, y=Latent(classes(K), exact)).double()  # type: ignore[arg-type]
    value = Enumerate("y", Elbo())(model, Batch(x), Step.first()).value
    torch.testing.assert_close(value, log_joint.logsumexp(1), rtol=0, atol=1e-6)


def test_one_trace_for_all_values_is_a_batch_for_each() -> None:
    """The two ways to the sum, in the same draws: the same terms, known values or not, and the same gradient."""

    class Repeated(Elbo):
        def __init__(self) -> None:
            super().__init__()
            self.averages = False

    model, x = m2(), torch.randn(5, X).double()
    for given in ({}, {"y": one_hot([2, -1, 0, -1, 1])}):
        found = [terms(Enumerate("y", inner, classify=2.0), model, Batch(x, given)) for inner in (Elbo(), Repeated())]
        torch.testing.assert_close(found[0].value, found[1].value)
        torch.testing.assert_close(found[0].log_likelihood, found[1].log_likelihood)
        torch.testing.assert_close(found[0].kl, found[1].kl)
        slopes = [torch.autograd.grad(each.value.sum(), list(model.parameters())) for each in found]
        torch.testing.assert_close(slopes[0], slopes[1])


def test_what_does_not_read_the_latent_is_computed_once() -> None:
    """Of a model whose decoder reads z alone, and z's posterior x alone."""
    rows: list[int] = []

    class Counted(nn.Linear):
        def forward(self, z: Tensor) -> Tensor:
            rows.append(len(z))
            return super().forward(z)

    model = VAE(
        Parametric(Counted(2, X), NormalFamily(Known(0.7)), "z"),
        y=Latent(classes(K), classifier()),
        z=Latent(Parametric(nn.Linear(K, 4), NormalFamily(), "y"), Parametric(nn.Linear(X, 4), NormalFamily(), "x")),
    )
    Enumerate("y", Elbo())(model, Batch(torch.randn(5, X)), Step.first())
    assert rows == [5]


def test_the_posterior_may_read_a_draw_in_one_trace() -> None:
    """a, then y that reads a, then z that reads both: the mean of the ELBO with y drawn, and of its parts."""
    model = VAE(
        Parametric(Joined(2 + K + 2, X), NormalFamily(Known(0.7)), ("a", "y", "z")),
        a=Latent(
            Parametric(Joined(K + 2, 4), NormalFamily(), ("y", "z")), Parametric(nn.Linear(X, 4), NormalFamily(), "x")
        ),
        y=Latent(classes(K), Parametric(Joined(2 + X, K), OneHot(), ("a", "x"))),
        z=Latent(standard_normal(2), Parametric(Joined(2 + K + X, 4), NormalFamily(), ("a", "y", "x"))),
    ).double()
    x = torch.randn(1, X).double().expand(4000, X)
    found = Enumerate("y", Elbo())(model, Batch(x), Step.first())
    trace = model.trace(x)
    for summed, drawn in ((found.value, trace.log_weight[0]), (found.log_likelihood, trace.log_lik[0])):
        error = (stderr(summed).square() + stderr(drawn).square()).sqrt()
        assert (summed.mean() - drawn.mean()).abs() <= SIGMAS * error
    for name, term in trace.latents.items():
        error = (stderr(found.kl[name]).square() + stderr(term.kl[0]).square()).sqrt()
        assert (found.kl[name].mean() - term.kl[0].mean()).abs() <= SIGMAS * error
    torch.testing.assert_close(found.elbo, found.value)


def test_it_is_what_sampling_the_latent_gives_in_the_mean() -> None:
    """The ELBO of the model with y drawn: equal in value, and in gradient where the draws' is unbiased."""
    model, x = m2(), torch.randn(1, X).double()
    found = []
    for objective in (Enumerate("y", Elbo()), Rloo(4)):
        draws = []
        for _ in range(60):
            value = objective(model, Batch(x.expand(300, X)), Step.first()).value.mean()
            slopes = torch.autograd.grad(value, list(model.parameters()))
            draws.append(torch.cat([value.detach().reshape(1), *(slope.flatten() for slope in slopes)]))
        found.append(torch.stack(draws))
    summed, drawn = found
    error = (stderr(summed).square() + stderr(drawn).square()).sqrt()
    assert ((summed.mean(0) - drawn.mean(0)).abs() <= SIGMAS * error + 1e-9).all()


def test_known_values_are_clamped_row_by_row() -> None:
    model, x = m2(), torch.randn(4, X).double()
    labels = one_hot([2, -1, 0, -1])
    some = terms(Enumerate("y", Elbo()), model, Batch(x, {"y": labels}))
    none = terms(Enumerate("y", Elbo()), model, Batch(x))
    assert some.value.isfinite().all()
    torch.testing.assert_close(some.value[[1, 3]], none.value[[1, 3]])
    inner = terms(Elbo(), model, Batch(x.repeat(K, 1), {"y": torch.eye(K).double().repeat_interleave(4, 0)}))
    of_each = inner.value.unflatten(0, (K, 4))
    torch.testing.assert_close(some.value[[0, 2]], torch.stack([of_each[2, 0], of_each[0, 2]]))
    torch.testing.assert_close(some.kl["y"][[0, 2]], torch.tensor([3.0, 3.0]).log().double())
    minus_one = torch.where(labels.isnan(), -1.0, labels)
    torch.testing.assert_close(terms(Enumerate("y", Elbo()), model, Batch(x, {"y": minus_one})).value, some.value)


def test_the_classifier_learns_from_known_values_by_its_weight() -> None:
    model, x = m2(), torch.randn(4, X).double()
    labels = one_hot([2, -1, 0, -1])
    plain = terms(Enumerate("y", Elbo()), model, Batch(x, {"y": labels}))
    weighted = terms(Enumerate("y", Elbo(), classify=3.0), model, Batch(x, {"y": labels}))
    log_q = belief(model, x).log()
    extra = 3.0 * torch.stack([log_q[0, 2], torch.zeros(()).double(), log_q[2, 0], torch.zeros(()).double()])
    torch.testing.assert_close(weighted.value, plain.value + extra)
    torch.testing.assert_close(weighted.elbo, plain.elbo)
    net = list(of(model, "y").posterior.parameters())
    known_rows = torch.autograd.grad(plain.value[[0, 2]].sum(), net, allow_unused=True, materialize_grads=True)
    assert all(float(slope.abs().max()) == 0 for slope in known_rows)
    assert any(float(slope.abs().max()) > 0 for slope in torch.autograd.grad(weighted.value[[0, 2]].sum(), net))
    assert Enumerate("y", Elbo()).is_bound
    assert not Enumerate("y", Elbo(), classify=3.0).is_bound


def test_any_objective_and_any_penalty_may_be_inside() -> None:
    model, x = m2(), torch.randn(5, X).double()
    elbo, tighter = (terms(Enumerate("y", inner), model, Batch(x)).value for inner in (Elbo(), Iwae(200)))
    assert tighter.mean() > elbo.mean()
    penalised = terms(Enumerate("y", Elbo() + CodeNorm(2.0)), model, Batch(x))
    assert (penalised.value < penalised.elbo).all()


def test_two_latents_may_be_summed_out_one_in_the_other() -> None:
    """q(y | x) q(w | x, y): the double sum, by hand."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(X + K, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            out: Tensor = self.linear(torch.cat([x, y], -1))
            return out

    model = VAE(
        Parametric(Joined(K + 2, X), NormalFamily(Known(0.7)), ("y", "w")),
        y=Latent(classes(K), classifier()),
        w=Latent(classes(2), Parametric(Both(), OneHot(), ("x", "y"))),
    ).double()
    x = torch.randn(5, X).double()
    objective = Enumerate("y", Enumerate("w", Elbo()))
    objective.check(model)
    found = objective(model, Batch(x), Step.first())
    q_y = belief(model, x)
    by_hand = torch.zeros(5).double()
    for i, y in enumerate(torch.eye(K).double()):
        q_w = of(model, "w").posterior({"x": x.unsqueeze(0), "y": y.expand(1, 5, K)}).mean[0]
        for j, w in enumerate(torch.eye(2).double()):
            weight = q_y[:, i] * q_w[:, j]
            log_lik = model.likelihood({"y": y.expand(1, 5, K), "w": w.expand(1, 5, 2)}).log_prob(x)[0]
            by_hand += weight * (log_lik - torch.tensor(2.0 * K).log() - weight.log())
    torch.testing.assert_close(found.value, by_hand)
    assert set(found.kl) == {"y", "w"}


def test_features_and_conditions_may_tell_the_class() -> None:
    model = VAE(
        Parametric(nn.Linear(K, X), NormalFamily(Known(0.7)), "y"),
        h=Deterministic(Joined(X + 1, 2), ("x", "c")),
        y=Latent(classes(K), classifier("h", inputs=2)),
    ).double()
    x, c = torch.randn(5, X).double(), torch.randn(5, 1).double()
    found = Enumerate("y", Elbo())(model, Batch(x, {"c": c}), Step.first())
    drawn = model.trace(x, samples=4000, given={"c": c}).log_weight
    assert ((found.value - drawn.mean(0)).abs() <= SIGMAS * stderr(drawn)).all()
    with pytest.raises(UsageError, match="the model reads 'c'"):
        Enumerate("y", Elbo())(model, Batch(x), Step.first())
    with pytest.raises(UsageError, match="posterior reads 'h'"):
        Enumerate("y", Iwae(2))(model, Batch(x), Step.first())


def test_free_bits_judge_a_coordinate_by_its_mean_over_values_as_probable_as_they_are() -> None:
    """By hand, from the KL of each value of c and what is thought of it; the KL of c itself is not held."""
    with seeded(1):
        model, _ = build("gm_vae", (6,), latent=2, components=4)
        batch = Batch(torch.rand(50, 6))
        trace, belief = enumerated(model, "c", batch)
    each = coordinate_kl(trace.latents["z"])
    mean = (belief.weights.unsqueeze(-1) * each).sum(0).mean(0)
    floor = float(mean.detach().mean())
    pressed = torch.where(mean > floor, each, floor).sum(-1) + trace.latents["c"].kl
    by_hand = (belief.weights * (trace.log_lik - pressed)).sum(0)
    found = Elbo(free_bits=floor).of(trace, replace(batch, chances=belief.weights), Step.first()).value
    assert (mean < floor).any()
    torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize("inner", [TargetRate(1.0), Elbo() + Mmd(), Elbo() + DipII()])
def test_what_judges_a_batch_as_a_whole_is_refused_within(inner: Objective) -> None:
    with pytest.raises(UsageError, match="judges a batch as a whole"):
        Enumerate("c", inner)


def test_a_single_bit_can_be_summed_out_too() -> None:
    class Coin(Conditional):
        given = ("x",)

        def forward(self, context: Context) -> Distribution:
            return Independent(Bernoulli(logits=context["x"][..., 0], validate_args=False), 0)

    prior = Fixed(Bernoulli, logits=torch.tensor(0.3))

    class Shift(Conditional):
        given = ("b",)

        def forward(self, context: Context) -> Distribution:
            return Independent(Normal(context["b"].unsqueeze(-1).expand(-1, -1, X), 1.0, validate_args=False), 1)

    model, x = VAE(Shift(), b=Latent(prior, Coin())).double(), torch.randn(5, X).double()
    found = Enumerate("b", Elbo())(model, Batch(x), Step.first()).value
    q = torch.sigmoid(x[:, 0])
    p = torch.sigmoid(torch.tensor(0.3).double())
    by_hand = (1 - q) * (Normal(0.0, 1.0).log_prob(x).sum(1) + (1 - p).log() - (1 - q).log())
    by_hand = by_hand + q * (Normal(1.0, 1.0).log_prob(x).sum(1) + p.log() - q.log())
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-6)


def test_a_model_without_such_a_latent_is_refused_by_name() -> None:
    truth = LinearGaussian.random()
    model = truth.model(truth.inexact.normal("x"))
    with pytest.raises(UsageError, match=r"Enumerate\('y'\) needs a discrete latent .* the model has 'z'"):
        Enumerate("y", Elbo()).check(model)
    with pytest.raises(UsageError, match="posterior of 'z' is over"):
        Enumerate("z", Elbo()).check(model)
    with pytest.raises(UsageError, match="'y'"):
        Enumerate("y", Elbo())(model, Batch(truth.evidence.sample((3,))), Step.first())


def test_a_posterior_that_reads_a_draw_is_refused_where_each_value_has_a_batch_of_its_own() -> None:
    model = VAE(
        Parametric(nn.Linear(K, X), NormalFamily(Known(0.7)), "y"),
        z=Latent(standard_normal(2), Parametric(nn.Linear(X, 4), NormalFamily(), "x")),
        y=Latent(classes(K), classifier("z", inputs=2)),
    )
    with pytest.raises(UsageError, match="its posterior reads 'z'"):
        Enumerate("y", Iwae(2))(model, Batch(torch.randn(2, X)), Step.first())


def test_values_that_cannot_be_listed_are_refused() -> None:
    class Maps(Conditional):
        given = ("x",)

        def forward(self, context: Context) -> Distribution:
            return OneHot(axes=2)(context["x"].unsqueeze(-1))

    model = VAE(
        Parametric(nn.Sequential(nn.Flatten(), nn.Linear(X, X)), NormalFamily(Known(0.7)), "y"),
        y=Latent(Fixed(Bernoulli, probs=torch.full((X, 1), 0.5)), Maps()),
    )
    with pytest.raises(UsageError, match="cannot be listed"):
        Enumerate("y", Elbo())(model, Batch(torch.randn(2, X)), Step.first())


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_a_negative_weight_of_known_values_is_refused(weight: float) -> None:
    build: Callable[[], Objective] = lambda: Enumerate("y", Elbo(), classify=weight)  # noqa: E731
    with pytest.raises(UsageError, match="classify is"):
        build()


def test_with_the_mixtures_own_responsibilities_the_sum_over_clusters_is_its_density() -> None:
    """VaDE's bound with q(c | x) = p(c | z) is the ELBO under the mixture prior, draw by draw."""
    model, objective = build("vade", (6,), latent=2, components=4)
    x = torch.rand(5, 6)
    trace = model.trace(x)
    mixture, z = trace.latents["z"].prior, trace.context["z"]
    q = mixture.responsibilities(z)  # type: ignore[attr-defined]
    torch.testing.assert_close(q.sum(-1), torch.ones(1, 5))
    of_each = mixture.each.log_prob(z.unsqueeze(-2)) + mixture.log_weights  # type: ignore[attr-defined]
    summed = (q * (of_each - q.log())).sum(-1)
    torch.testing.assert_close(summed, trace.latents["z"].log_prior)
    assert objective.is_bound
