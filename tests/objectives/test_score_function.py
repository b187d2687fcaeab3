"""Unbiased gradients of discrete latents: against exact enumeration, and by how much they are less noisy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Size, Tensor, nn

from core.statistics import SIGMAS, assert_mean
from vaekit.common.errors import UsageError
from vaekit.core import VAE, Batch, Latent, Parametric
from vaekit.families import Bernoulli, Normal, OneHot
from vaekit.objectives import Disarm, Elbo, Iwae, LeaveOneOut, Objective, Rloo, Step, sampled_kl
from vaekit.objectives.score_function import of_others, opposite_bits
from vaekit.priors import bits, classes, standard_normal

X = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
REPEATS, COPIES = 150, 60


class Bent(nn.Module):
    """An affine map, and a bend, so that gradients of means are not means of gradients."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.affine = nn.Linear(inputs, outputs, dtype=torch.float64)

    def forward(self, *inputs: Tensor) -> Tensor:
        y = self.affine(torch.cat([each.flatten(1) for each in inputs], -1))
        return 2 * y + torch.sin(3 * y)


def of_bits() -> VAE:
    encoder, decoder = Parametric(Bent(4, 3), Bernoulli(), "x"), Parametric(Bent(3, 4), Bernoulli(), "z")
    return VAE(decoder, z=Latent(bits(3).double(), encoder))


def of_classes() -> VAE:
    encoder = Parametric(nn.Sequential(Bent(4, 6), nn.Unflatten(-1, (3, 2))), OneHot(2), "x")
    return VAE(Parametric(Bent(6, 4), Bernoulli(), "z"), z=Latent(classes((3, 2)).double(), encoder))


def of_two_levels() -> VAE:
    """Both latents discrete, and the posterior and the prior of the second given the first."""
    first = Latent(bits(2).double(), Parametric(Bent(4, 2), Bernoulli(), "x"))
    second = Latent(Parametric(Bent(2, 2), Bernoulli(), "a"), Parametric(Bent(6, 2), Bernoulli(), ("x", "a")))
    return VAE(Parametric(Bent(4, 4), Bernoulli(), ("a", "b")), a=first, b=second)


def vertices(model: VAE) -> list[dict[str, Tensor]]:
    """Every value of all latents together."""
    names = [name for name, _ in model.latents()]
    listed = []
    for latent in names:
        event = model.sample(1).latent(latent).shape[1:]
        if len(event) == 1:
            every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=event[0])), dtype=torch.float64)
        else:
            hot = torch.eye(event[0], dtype=torch.float64)
            every = torch.stack([hot[:, list(pick)] for pick in itertools.product(range(event[0]), repeat=event[1])])
        listed.append(every)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*listed)]


def log_terms(model: VAE) -> tuple[Tensor, Tensor]:
    """log p(x, z) and log q(z | x) of every z, (vertex,)."""
    joint, posterior = [], []
    for values in vertices(model):
        context = {"x": X.unsqueeze(0)} | {name: value[None, None] for name, value in values.items()}
        trace = model.retrace(context, {})
        joint.append(trace.log_joint.squeeze())
        posteriors = model.posteriors(context, values.keys())
        posterior.append(sum(q.log_prob(context[name]).squeeze() for name, q in posteriors.items()))
    return torch.stack(joint), torch.stack(posterior)  # type: ignore[arg-type]


def exact_elbo(model: VAE) -> Tensor:
    joint, posterior = log_terms(model)
    return (posterior.exp() * (joint - posterior)).sum()


def exact_iwae(model: VAE) -> Tensor:
    """Of two draws: the mean over all pairs of vertices."""
    joint, posterior = log_terms(model)
    log_weight = joint - posterior
    pairs = torch.logaddexp(log_weight.unsqueeze(0), log_weight.unsqueeze(1)) - torch.log(torch.tensor(2.0))
    return (posterior.exp().unsqueeze(0) * posterior.exp().unsqueeze(1) * pairs).sum()


def gradient(model: VAE, value: Tensor) -> Tensor:
    parameters = list(model.parameters())
    return torch.cat([each.flatten() for each in torch.autograd.grad(value, parameters)])


def estimates(model: VAE, objective: Objective, copies: int = COPIES) -> tuple[Tensor, Tensor]:
    """Values and gradients of many copies of the row at once, (repeat,) and (repeat, parameter)."""
    batch = Batch(X.expand(copies, -1))
    values, gradients = [], []
    for _ in range(REPEATS):
        value = objective(model, batch, Step.first()).value.mean()
        values.append(value.detach())
        gradients.append(gradient(model, value))
    return torch.stack(values), torch.stack(gradients)


MODELS: Mapping[str, Callable[[], VAE]] = {"bits": of_bits, "classes": of_classes, "two levels": of_two_levels}
UNBIASED: list[tuple[str, Callable[[], Objective], Callable[[VAE], Tensor]]] = [
    *((name, lambda: Rloo(2), exact_elbo) for name in MODELS),
    ("bits", lambda: Rloo(5), exact_elbo),
    ("bits", lambda: Rloo(3, kl=sampled_kl), exact_elbo),
    ("bits", lambda: Disarm(), exact_elbo),
    ("bits", lambda: Disarm(3), exact_elbo),
    ("bits", lambda: Disarm(kl=sampled_kl), exact_elbo),
    *((name, lambda: Iwae(2, LeaveOneOut()), exact_iwae) for name in MODELS),
]


@pytest.mark.parametrize(("name", "make", "exact"), UNBIASED)
def test_value_and_gradient_are_unbiased(
    name: str, make: Callable[[], Objective], exact: Callable[[VAE], Tensor]
) -> None:
    model = MODELS[name]()
    truth = exact(model)
    values, gradients = estimates(model, make())
    assert_mean(values, truth.detach())
    assert_mean(gradients, gradient(model, truth))
    assert make().is_bound


class Reinforce(Rloo):
    """The plain score function, without a baseline."""

    def of(self, trace, batch, step):  # type: ignore[no-untyped-def]
        terms = super().of(trace, batch, step)
        signal = trace.log_lik.expand(self.samples, len(batch))
        kl = sum(self.kl(term) for term in trace.latents.values())
        score = trace.latents["z"].log_posterior
        surrogate = ((signal - kl).detach() * score).mean(0) + (signal - kl).mean(0)
        return type(terms)(terms.value.detach() + surrogate - surrogate.detach(), terms.log_likelihood, terms.kl)


def test_baselines_and_opposite_draws_lessen_the_noise() -> None:
    model = of_bits()
    truth = gradient(model, exact_elbo(model))
    posterior = sum(each.numel() for name, each in model.named_parameters() if "posterior" in name)
    noise = {}
    for name, objective in {"plain": Reinforce(2), "loo": Rloo(2), "disarm": Disarm(1)}.items():
        gradients = estimates(model, objective, copies=4)[1]
        assert_mean(gradients, truth)
        noise[name] = float(gradients[:, :posterior].var(0).sum())
    assert noise["plain"] > 2 * noise["loo"]
    assert noise["loo"] > noise["disarm"]


def test_the_value_is_the_plain_elbo_to_the_bit() -> None:
    model = of_bits()
    for objective in (Rloo(3), Disarm(2)):
        terms = objective(model, Batch(X.expand(7, -1)), Step.first())
        torch.testing.assert_close(terms.value, terms.elbo, rtol=1e-12, atol=1e-12)


def test_latents_with_a_path_keep_it() -> None:
    """A normal latent given bits: as many draws of the ELBO by hand, from the very same noise."""
    first = Latent(bits(2).double(), Parametric(Bent(4, 2), Bernoulli(), "x"))
    second = Latent(standard_normal(2).double(), Parametric(Bent(6, 4), Normal(), ("x", "a")))
    model = VAE(Parametric(Bent(4, 4), Bernoulli(), ("a", "b")), a=first, b=second)
    values, gradients = estimates(model, Rloo(2))
    found, reference = gradients.mean(0), torch.zeros_like(gradients[0])
    for pick in itertools.product([0.0, 1.0], repeat=2):
        a = torch.tensor([pick], dtype=torch.float64)
        many = Batch(X.expand(20_000, -1), {"a": a.expand(20_000, -1)})
        log_q = model.parts["a"].posterior({"x": X.unsqueeze(0)}).log_prob(a.unsqueeze(0)).squeeze()
        value = Elbo()(model, many, Step.first()).value.mean()
        reference += gradient(model, log_q.exp() * (value - log_q))
    error = SIGMAS * gradients.std(0) / REPEATS**0.5 + 0.02
    assert ((found - reference).abs() <= error).all()
    assert values.isfinite().all()


def test_without_discrete_latents_they_are_the_elbo_of_as_many_draws() -> None:
    encoder, decoder = Parametric(Bent(4, 4), Normal(), "x"), Parametric(Bent(2, 4), Bernoulli(), "z")
    model, batch = VAE(decoder, z=Latent(standard_normal(2).double(), encoder)), Batch(X.expand(3, -1))
    found = []
    for objective in (Elbo(samples=3), Rloo(3), Disarm(3)):
        torch.manual_seed(0)
        found.append(gradient(model, objective(model, batch, Step.first()).value.mean()))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_the_baseline_is_the_mean_of_the_others() -> None:
    values = torch.randn(5, 3)
    expected = torch.stack([torch.cat([values[:k], values[k + 1 :]]).mean(0) for k in range(5)])
    torch.testing.assert_close(of_others(values), expected)


def test_opposite_bits_have_the_same_law_and_are_as_unlike_as_can_be() -> None:
    """P(both) = max(0, 2 p - 1): the least that two bits of these laws can have in common."""
    logits = torch.tensor([-3.0, -0.5, 0.0, 0.7, 4.0], dtype=torch.float64)
    one = Bernoulli()(logits[None, None]).sample(Size((50_000,))).reshape(-1, 5)
    other = opposite_bits(one, logits)
    p = torch.sigmoid(logits)
    assert_mean(other, p)
    assert_mean(one * other, (2 * p - 1).clamp(min=0))


def test_what_they_cannot_do_is_refused() -> None:
    with pytest.raises(UsageError, match="1 samples"):
        Rloo(1)
    with pytest.raises(UsageError, match="0 samples"):
        Disarm(0)
    batch = Batch(X)
    with pytest.raises(UsageError, match="one latent, not of a, b: take Rloo"):
        Disarm()(of_two_levels(), batch, Step.first())
    with pytest.raises(UsageError, match="Bernoulli draws, and 'z' has a OneHot"):
        Disarm()(of_classes(), batch, Step.first())
    with pytest.raises(UsageError, match="take at least 2"):
        Iwae(1, LeaveOneOut())(of_bits(), batch, Step.first())
    first = Latent(bits(2).double(), Parametric(Bent(4, 2), Bernoulli(), "x"))
    second = Latent(standard_normal(2).double(), Parametric(Bent(6, 4), Normal(), ("x", "a")))
    model = VAE(Parametric(Bent(4, 4), Bernoulli(), ("a", "b")), a=first, b=second)
    with pytest.raises(UsageError, match="'b' reads 'a'"):
        Disarm()(model, batch, Step.first())


@pytest.mark.parametrize("objective", [Elbo(), Elbo(kl=sampled_kl), Iwae(3)])
def test_what_learns_through_draws_refuses_a_posterior_without_a_path_by_name(objective: Objective) -> None:
    with pytest.raises(UsageError, match=r"draws of 'z', and a Bernoulli\w* has none: take the objective Rloo"):
        objective(of_bits(), Batch(X), Step.first())
    with torch.no_grad():
        assert objective(of_bits(), Batch(X), Step.first()).value.isfinite().all()
