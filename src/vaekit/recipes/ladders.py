"""Hierarchies: several latents, each given those above it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from torch import Size, nn

from vaekit.common.errors import UsageError
from vaekit.core import VAE, Conditional, Deterministic, Family, Latent, Parametric, PrecisionWeighted
from vaekit.families import Normal
from vaekit.nets.ladder import Absorb, Grow, Tower
from vaekit.objectives import Elbo
from vaekit.priors import standard_normal
from vaekit.recipes.forms import Form, seen
from vaekit.recipes.parts import Parts
from vaekit.recipes.priors import vamp
from vaekit.recipes.registry import Recipe, recipe


@recipe("two levels of latents", "Rezende, Mohamed and Wierstra", 2014, latent=40, net="gated")
def hvae(parts: Parts, pseudo_inputs: int = 0) -> Recipe:
    """The hierarchical VAE: p(z2) p(z1 | z2) p(x | z1, z2), inferred as q(z2 | x) q(z1 | x, z2).

    With pseudo-inputs the prior of z2 is a VampPrior (Tomczak and Welling, 2018, who train it with 500 of them).

    Args:
        pseudo_inputs: learned rows of a VampPrior over z2; 0 for the chosen prior.
    """
    z, x = parts.latent_shape, parts.event_shape
    top = parts.encoder()
    z2 = Latent(vamp(parts, top, pseudo_inputs) if pseudo_inputs else parts.prior(), top)
    z1 = Latent(parts.between({"z2": z}), parts.encoder({"x": x, "z2": z}))
    return Recipe(VAE(parts.decoder({"z1": z, "z2": z}), z2=z2, z1=z1), Elbo())


@recipe("two levels, inferred from the bottom up", "Burda, Grosse and Salakhutdinov", 2016, latent=50)
def bottom_up_vae(parts: Parts) -> Recipe:
    """The two-layer model of the IWAE paper: q(z1 | x) q(z2 | z1), p(z2) p(z1 | z2) p(x | z1)."""
    z = parts.latent_shape
    z2 = Latent(parts.prior(), parts.encoder({"z1": z}))
    z1 = Latent(parts.between({"z2": z}), parts.encoder())
    return Recipe(VAE(parts.decoder({"z1": z}), z2=z2, z1=z1), Elbo())


@recipe("a ladder of vectors that merges data and latents by precision", "Sønderby et al.", 2016, latent=32)
def ladder_vae(parts: Parts, levels: int = 3, width: int = 256, pseudo_inputs: int = 0) -> Recipe:
    """The ladder VAE: features computed from the bottom up, latents drawn from the top down, each half as large.

    With pseudo-inputs the prior of the top latent is a VampPrior, and its posterior is what the data say alone.

    Args:
        levels: of latents.
        width: of the features of each level.
        pseudo_inputs: learned rows of a VampPrior at the top; 0 for the chosen prior.
    """
    features = _ladder_features(parts, levels, width)
    top = parts.of_size(2 ** (levels - 1))
    message = top.encoder({f"d{levels}": Size((width,))})
    if pseudo_inputs:
        latents = {f"z{levels}": Latent(vamp(top, message, pseudo_inputs, features), message)}
    else:
        prior = top.prior()
        latents = {f"z{levels}": Latent(prior, PrecisionWeighted(message, prior))}
    above = {f"z{levels}": top.latent_shape}
    for level in range(levels - 1, 0, -1):
        z = parts.of_size(2 ** (level - 1))
        between, message = z.between(above), z.encoder({f"d{level}": Size((width,))})
        latents[f"z{level}"] = Latent(between, PrecisionWeighted(message, between))
        above = {f"z{level}": z.latent_shape}
    return Recipe(VAE(parts.decoder(above), **features, **latents), Elbo())


def _ladder_features(parts: Parts, levels: int, width: int) -> dict[str, Deterministic]:
    """Features of x from the bottom up, each level's read off those below it."""
    features: dict[str, Deterministic] = {}
    below, shape = "x", Size(parts.event_shape)
    for level in range(1, levels + 1):
        net = parts.reading({below: shape}, Size((width,)))
        features[f"d{level}"] = Deterministic(nn.Sequential(net, nn.SiLU()), below)
        below, shape = f"d{level}", Size((width,))
    return features


@dataclass(frozen=True)
class Rung:
    """A run of latents of one size: how often the image is halved there, how many latents, how many channels each."""

    halvings: int
    latents: int
    channels: int

    def shape(self, event: Size, channels: int) -> Size:
        """A map with these channels at this rung's size, rounded up."""
        return Size((channels, *(-(-side // 2**self.halvings) for side in event[1:])))


class ConvLadder:
    """Builds a top-down ladder of feature-map latents over images, every map computed once.

    Going down, each rung reads features off the image; going up, a state gathers the latents drawn so far, and each
    latent's prior reads the state, its posterior the state and the features. The cost is linear in the depth.

    Sources: Sønderby et al., 2016; Child, 2021 (VDVAE); Kuzina and Tomczak, 2023 (few scales, narrow at the top).
    """

    def __init__(self, form: Form, rungs: tuple[Rung, ...], width: int) -> None:
        if len(form.event_shape) != 3:
            raise UsageError(f"a convolutional ladder explains images, not rows of shape {tuple(form.event_shape)}")
        self.form, self.event = form, form.event_shape
        self.rungs, self.width = rungs, width
        self.scale = 1 / sqrt(sum(rung.latents for rung in rungs))
        self.nodes: dict[str, Latent | Deterministic] = {}

    def build(self, likelihood: Family) -> VAE:
        """The ladder as a VAE."""
        self._features()
        state = self._foot()
        for rung, following in zip(self.rungs, (*self.rungs[1:], None), strict=True):
            state = self._climb(rung, state)
            state = state if following is None else self._grow(rung, following, state)
        return VAE(self._likelihood(likelihood, state), **self.nodes)

    def _map(self, rung: Rung) -> Size:
        return rung.shape(self.event, self.width)

    def _features(self) -> None:
        """From the image down: the features that each rung's posteriors read, the finest rung's first."""
        below, shape = "x", self.form.seen_shape
        for rung in reversed(self.rungs):
            net = Tower([shape], self._map(rung), self.width, blocks=2, scale=self.scale)
            self.nodes[self._feature(rung)] = Deterministic(seen(self.form, net, [below]), below)
            below, shape = self._feature(rung), self._map(rung)

    @staticmethod
    def _feature(rung: Rung) -> str:
        return f"h{rung.halvings}"

    def _foot(self) -> str:
        """The first latent, which nothing precedes, and the state it leaves."""
        rung = self.rungs[0]
        latent = rung.shape(self.event, rung.channels)
        self._add_latent(standard_normal(latent), [self._feature(rung)], rung)
        net = Tower([latent], self._map(rung), self.width, scale=self.scale)
        return self._add_state(net, ["z1"])

    def _climb(self, rung: Rung, state: str) -> str:
        """The rung's latents, each drawn given the state and then absorbed into it."""
        missing = rung.latents - (1 if rung is self.rungs[0] else 0)
        for _ in range(missing):
            latent = self._add_latent(self._head([state], rung), [state, self._feature(rung)], rung)
            net = Absorb(self._map(rung), rung.shape(self.event, rung.channels), self.scale)
            state = self._add_state(net, [state, latent])
        return state

    def _grow(self, rung: Rung, following: Rung, state: str) -> str:
        return self._add_state(Grow(self._map(rung), self._map(following), self.scale), [state])

    def _head(self, given: list[str], rung: Rung) -> Parametric:
        family = Normal()
        shape = family.params_shape(rung.shape(self.event, rung.channels))
        inputs = [self._map(rung)] * len(given)
        return Parametric(Tower(inputs, shape, self.width, scale=self.scale, quiet=True), family, given)

    def _add_latent(self, prior: Conditional, posterior: list[str], rung: Rung) -> str:
        name = f"z{self._count(Latent) + 1}"
        self.nodes[name] = Latent(prior, self._head(posterior, rung))
        return name

    def _add_state(self, net: Tower | Absorb | Grow, given: list[str]) -> str:
        name = f"s{self._count(Deterministic) - len(self.rungs) + 1}"
        self.nodes[name] = Deterministic(net, given)
        return name

    def _count(self, kind: type) -> int:
        return sum(isinstance(node, kind) for node in self.nodes.values())

    def _likelihood(self, family: Family, state: str) -> Parametric:
        narrow = max(8, self.width // 4)
        net = Tower([self._map(self.rungs[-1])], family.params_shape(self.event), narrow, scale=self.scale)
        return Parametric(net, family, state)


@recipe("a top-down ladder of feature-map latents, for images", "Child", 2021, net="conv")
def conv_ladder(
    parts: Parts, width: int = 64, coarse: int = 4, fine: int = 4, coarse_channels: int = 20, fine_channels: int = 8
) -> Recipe:
    """The convolutional ladder: latents at a quarter and at half of the image's size.

    Args:
        width: channels of the features.
        coarse: latents at a quarter of the size.
        fine: latents at half of the size.
        coarse_channels: channels of each coarse latent.
        fine_channels: channels of each fine latent.
    """
    rungs = (Rung(2, coarse, coarse_channels), Rung(1, fine, fine_channels))
    return Recipe(ConvLadder(parts.form, rungs, width).build(parts.likelihood()), Elbo())
