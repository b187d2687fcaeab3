"""Models whose evidence, posteriors and ELBO are known in closed form: what estimates are held against.

Everything is float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vaekit.core import VAE, Latent, Parametric
from vaekit.families import FullNormal, Known, Normal
from vaekit.families.scale import unpositive
from vaekit.priors import standard_normal


class Affine(nn.Module):
    """A y + b, of its inputs joined into one y."""

    def __init__(self, A: Tensor, b: Tensor) -> None:
        super().__init__()
        self.A, self.b = nn.Parameter(A.clone()), nn.Parameter(b.clone())

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=-1) @ self.A.T + self.b


@dataclass(frozen=True)
class LinearNormal:
    """N(A y + b, L L^T) as a function of y."""

    A: Tensor
    b: Tensor
    L: Tensor

    def at(self, y: Tensor) -> MultivariateNormal:
        """The distribution given y (batch, *)."""
        return MultivariateNormal(y @ self.A.T + self.b, scale_tril=self.L.expand(len(y), *self.L.shape))

    @property
    def covariance(self) -> Tensor:
        return self.L @ self.L.T

    def full_normal(self, given: str | Sequence[str]) -> Parametric:
        """The same as a network and a family: an affine net whose slopes on L are zero."""
        row, column = torch.tril_indices(*self.L.shape, -1)
        return self._parametric(torch.cat([unpositive(self.L.diagonal()), self.L[row, column]]), FullNormal(), given)

    def normal(self, given: str | Sequence[str]) -> Parametric:
        """The same, where L is diagonal."""
        return self._parametric(unpositive(self.L.diagonal()), Normal(), given)

    def _parametric(self, fixed: Tensor, family: Normal | FullNormal, given: str | Sequence[str]) -> Parametric:
        slopes = torch.zeros(len(fixed), self.A.shape[1], dtype=self.A.dtype)
        return Parametric(Affine(torch.cat([self.A, slopes]), torch.cat([self.b, fixed])), family, given)


def conditioned(prior_mean: Tensor, prior_cov: Tensor, W: Tensor, b: Tensor, noise: float) -> LinearNormal:
    """p(z | x) for z ~ N(prior_mean, prior_cov) and x | z ~ N(W z + b, noise^2 I)."""
    gain = prior_cov @ W.T @ torch.linalg.inv(W @ prior_cov @ W.T + noise**2 * torch.eye(len(W)).double())
    cov = prior_cov - gain @ W @ prior_cov
    return LinearNormal(gain, prior_mean - gain @ (W @ prior_mean + b), torch.linalg.cholesky((cov + cov.T) / 2))


@dataclass(frozen=True)
class LinearGaussian:
    """p(z) = N(0, I) and p(x | z) = N(W z + b, s^2 I)."""

    W: Tensor
    b: Tensor
    s: float

    @staticmethod
    def random(dimensions: int = 4, latents: int = 2, s: float = 0.7) -> LinearGaussian:
        return LinearGaussian(torch.randn(dimensions, latents).double(), torch.randn(dimensions).double(), s)

    @property
    def latents(self) -> int:
        return self.W.shape[1]

    @property
    def evidence(self) -> MultivariateNormal:
        """p(x) = N(b, W W^T + s^2 I)."""
        return MultivariateNormal(self.b, self.W @ self.W.T + self.s**2 * torch.eye(len(self.b)).double())

    @property
    def exact(self) -> LinearNormal:
        """p(z | x)."""
        eye = torch.eye(self.latents).double()
        return conditioned(torch.zeros(self.latents).double(), eye, self.W, self.b, self.s)

    @property
    def inexact(self) -> LinearNormal:
        """A posterior that is off in its mean and too wide, with independent coordinates."""
        wide = 1.4 * self.exact.covariance.diagonal().sqrt()
        return LinearNormal(0.8 * self.exact.A, self.exact.b + 0.2, torch.diag(wide))

    def elbo(self, posterior: LinearNormal, x: Tensor) -> Tensor:
        """E_q log p(x | z) - KL(q || p), (batch,), in closed form."""
        m, S = posterior.at(x).mean, posterior.covariance
        spread = (self.W.T @ self.W * S).sum() / self.s**2
        off = (x - m @ self.W.T - self.b).square().sum(-1) / self.s**2
        log_lik = -0.5 * (off + spread) - len(self.b) * math.log(self.s * math.sqrt(2 * math.pi))
        return log_lik - self.kl(posterior, x)

    def kl(self, posterior: LinearNormal, x: Tensor) -> Tensor:
        """KL(N(m, S) || N(0, I)) = (tr S + m^T m - dim - log det S) / 2, (batch,)."""
        m, S = posterior.at(x).mean, posterior.covariance
        return 0.5 * (S.trace() + m.square().sum(-1) - self.latents - S.logdet())

    def likelihood(self, given: str = "z") -> Parametric:
        return Parametric(Affine(self.W, self.b), Normal(Known(self.s)), given)

    def model(self, posterior: Parametric) -> VAE:
        return VAE(self.likelihood(), z=Latent(standard_normal(self.latents), posterior)).double()


@dataclass(frozen=True)
class TwoLevels:
    """p(z2) = N(0, I), p(z1 | z2) = N(A z2 + a, t^2 I) and p(x | z1) = N(W z1 + b, s^2 I)."""

    upper: LinearGaussian
    lower: LinearGaussian

    @staticmethod
    def random() -> TwoLevels:
        return TwoLevels(LinearGaussian.random(3, 2, 0.9), LinearGaussian.random(4, 3, 0.7))

    @property
    def evidence(self) -> MultivariateNormal:
        """p(x)."""
        W, b, s = self.lower.W, self.lower.b, self.lower.s
        z1 = self.upper.evidence
        cov = W @ z1.covariance_matrix @ W.T + s**2 * torch.eye(len(b)).double()
        return MultivariateNormal(W @ z1.mean + b, cov)

    def bottom_up(self) -> Mapping[str, LinearNormal]:
        """p(z1 | x) and p(z2 | z1)."""
        z1, lower = self.upper.evidence, self.lower
        return {
            "z1": conditioned(z1.mean, z1.covariance_matrix, lower.W, lower.b, lower.s),
            "z2": self.upper.exact,
        }

    def top_down(self) -> Mapping[str, LinearNormal]:
        """p(z2 | x) and p(z1 | x, z2)."""
        (A, a, t), (W, b, s) = (vars(level).values() for level in (self.upper, self.lower))
        whole = W @ A
        noise = t**2 * W @ W.T + s**2 * torch.eye(len(b)).double()
        gain = whole.T @ torch.linalg.inv(whole @ whole.T + noise)
        cov = torch.eye(A.shape[1]).double() - gain @ whole
        z2 = LinearNormal(gain, -gain @ (W @ a + b), torch.linalg.cholesky((cov + cov.T) / 2))
        z1 = conditioned(a, t**2 * torch.eye(len(a)).double(), W, b, s)
        slope_on_z2 = A - z1.A @ W @ A
        return {"z2": z2, "z1": LinearNormal(torch.cat([z1.A, slope_on_z2], dim=1), z1.b, z1.L)}

    def model(self, z1: Parametric, z2: Parametric) -> VAE:
        prior_z1 = Parametric(Affine(self.upper.W, self.upper.b), Normal(Known(self.upper.s)), "z2")
        return VAE(
            self.lower.likelihood("z1"),
            z2=Latent(standard_normal(self.upper.latents), z2),
            z1=Latent(prior_z1, z1),
        ).double()

    def exact_bottom_up(self) -> VAE:
        exact = self.bottom_up()
        return self.model(z1=exact["z1"].full_normal("x"), z2=exact["z2"].full_normal("z1"))

    def exact_top_down(self) -> VAE:
        exact = self.top_down()
        return self.model(z1=exact["z1"].full_normal(("x", "z2")), z2=exact["z2"].full_normal("x"))
