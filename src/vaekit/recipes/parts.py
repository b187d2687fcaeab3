"""The parts recipes are made of: encoders, decoders and priors of one architecture over one shape of data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Size, nn
from torch.distributions.constraints import Constraint

from vaekit.common.errors import UsageError
from vaekit.core import Conditional, Deterministic, Family, Parametric
from vaekit.families import POSTERIORS
from vaekit.flows.conditional import Slice
from vaekit.nets import NETS, Dense, NetBuilder
from vaekit.priors import PRIORS
from vaekit.recipes.forms import Form, seen


@dataclass(frozen=True)
class Architecture:
    """The settings every recipe shares. Names are those of the registries.

    The defaults are the classic example: one hidden layer of 400, 20 latents, a Bernoulli likelihood.
    """

    latent: int = 20
    """Number of latent coordinates."""
    hidden: tuple[int, ...] | None = None
    """Widths of the encoder's hidden layers, or channels of its levels; the net's own if not given."""
    net: str = "mlp"
    """Kind of network: mlp, gated, conv, resnet."""
    activation: str | None = None
    """Activation of the hidden layers; the net's own if not given."""
    normalisation: str | None = None
    """Normalisation of the hidden layers; the net's own if not given."""
    likelihood: str = "bernoulli"
    """Family of p(x | z)."""
    posterior: str = "normal"
    """Family of q(z | x)."""
    prior: str = "standard_normal"
    """Prior p(z)."""

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise UsageError(f"latent is {self.latent}: a VAE needs at least 1 latent coordinate")

    def preferring(self, activation: str) -> Architecture:
        """With this activation, unless another is asked for or the net has none to choose."""
        choice = "activation" in inspect.signature(NETS[self.net]).parameters
        return replace(self, activation=activation) if choice and self.activation is None else self

    def builder(self) -> NetBuilder:
        """The object that makes the nets."""
        kind = NETS[self.net]
        widths, *others = inspect.signature(kind).parameters
        wanted = {widths: self.hidden, "activation": self.activation, "normalisation": self.normalisation}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        for name in chosen.keys() - {widths, *others}:
            raise UsageError(f"the net {self.net!r} has no {name} to choose: leave it out, or take another net")
        return kind(**chosen)


@dataclass(frozen=True)
class Parts:
    """Makes the parts of a VAE for data of one form; what a part reads is named with the shape of it."""

    form: Form
    architecture: Architecture
    shape: Size | None = None
    """The shape of one latent, where it is not a vector of `latent` coordinates."""

    @property
    def event_shape(self) -> Size:
        """The shape of one row of data."""
        return self.form.event_shape

    @property
    def latent_shape(self) -> Size:
        """The shape of one latent."""
        return Size((self.architecture.latent,)) if self.shape is None else self.shape

    def of_shape(self, *shape: int) -> Parts:
        """The same parts with a latent of another shape."""
        return replace(self, shape=Size(shape))

    def of_size(self, divisor: int) -> Parts:
        """The same parts with a latent this many times smaller."""
        latent = max(1, self.architecture.latent // divisor)
        return replace(self, architecture=replace(self.architecture, latent=latent))

    @property
    def support(self) -> Constraint:
        """The values that a row may hold."""
        return self.likelihood().support

    def likelihood(self) -> Family:
        """The family of p(x | z)."""
        return self.form.likelihood(self.architecture.likelihood)

    def prior(self) -> Conditional:
        """p(z)."""
        return PRIORS[self.architecture.prior](self.latent_shape)

    def encoder(self, given: Mapping[str, Size] | None = None, family: Family | None = None) -> Parametric:
        """q(z | x), or q(z | what is given, by name and shape); of the architecture's family if none is given."""
        given = {"x": self.event_shape} if given is None else given
        family = POSTERIORS[self.architecture.posterior](self.latent_shape) if family is None else family
        return Parametric(self.reading(given, family.params_shape(self.latent_shape)), family, tuple(given))

    def reading(self, given: Mapping[str, Size], out: Size) -> nn.Module:
        """A net that reads what is given, by name and shape; x as encoders see it."""
        shapes = [shape if name != "x" else self.form.seen_shape for name, shape in given.items()]
        return seen(self.form, self.architecture.builder().down(shapes, out), list(given))

    def between(self, given: Mapping[str, Size]) -> Parametric:
        """p(z | the latents above it): a conditional prior, of the posterior's family."""
        family = POSTERIORS[self.architecture.posterior](self.latent_shape)
        net = self.architecture.builder().up(list(given.values()), family.params_shape(self.latent_shape))
        return Parametric(net, family, tuple(given))

    def features(self, shape: Size) -> Deterministic:
        """A vector that the encoder's net reads off x, for several parts to share."""
        return Deterministic(nn.Sequential(self.reading({"x": self.event_shape}, shape), nn.SiLU()), "x")

    def head(self, given: Mapping[str, Size]) -> Parametric:
        """q(z | features), by name and shape: an affine map of them, then the posterior's family."""
        family = POSTERIORS[self.architecture.posterior](self.latent_shape)
        net = Dense(hidden=()).down(list(given.values()), family.params_shape(self.latent_shape))
        return Parametric(net, family, tuple(given))

    def encoder_with_features(self, features: int) -> tuple[Deterministic, Parametric, Slice]:
        """q(z | h) and features of x for others to read, both of them stretches of the vector h that one net makes.

        The node h, the posterior that reads it, and what takes the features from it.
        """
        family = POSTERIORS[self.architecture.posterior](self.latent_shape)
        width = family.width(self.latent_shape)
        net = self.reading({"x": self.event_shape}, Size((width + features,)))
        return Deterministic(net, "x"), Parametric(Slice(0, width), family, "h"), Slice(width, width + features)

    def decoder(self, given: Mapping[str, Size] | None = None) -> Parametric:
        """p(x | z), or p(x | what is given, by name and shape)."""
        given = {"z": self.latent_shape} if given is None else given
        family = self.likelihood()
        net = self.architecture.builder().up(list(given.values()), family.params_shape(self.event_shape))
        return Parametric(net, family, tuple(given))
