"""VAEs with discrete latents: bits, classes and codes."""

from __future__ import annotations

from vaekit.common.errors import UsageError
from vaekit.common.registry import Registry
from vaekit.core import VAE, Latent
from vaekit.families import Codebook, FiniteScalar, GumbelSoftmax, Quantize, Quantizer, ResidualCodebook, SoftClasses
from vaekit.objectives import Commitment, Disarm, Elbo, Linear, Rloo
from vaekit.priors import Autoregressive, UniformCodes, classes
from vaekit.priors.codes import OfCodes
from vaekit.recipes.latent_shapes import at_unit_scale
from vaekit.recipes.parts import Parts
from vaekit.recipes.registry import Recipe, recipe

CODE_PRIORS: Registry[type[OfCodes]] = Registry(
    "prior of codes", {"autoregressive": Autoregressive, "uniform": UniformCodes}
)


def of_bits(parts: Parts) -> VAE:
    """The model of bits, hard or soft: the decoder reads them as -1 and 1."""
    return at_unit_scale(parts, Latent(parts.prior(), parts.encoder()), mean=0.5, spread=0.5)


BITS = {"latent": 200, "posterior": "bernoulli", "prior": "bits"}
SOFT_BITS = {"latent": 200, "posterior": "concrete_bernoulli", "prior": "soft_bits"}


@recipe("bits, with an unbiased gradient", "Kool, van Hoof and Welling", 2019, **BITS)
def bernoulli_vae(parts: Parts, samples: int = 4) -> Recipe:
    """The VAE with Bernoulli latents, learned by leave-one-out baselines.

    Args:
        samples: draws for each row, each the others' baseline.
    """
    return Recipe(of_bits(parts), Rloo(samples))


@recipe("bits, with an unbiased gradient from opposite draws", "Dong, Mnih and Tucker", 2020, **BITS)
def disarm_vae(parts: Parts, samples: int = 1) -> Recipe:
    """The VAE with Bernoulli latents, learned by antithetic pairs.

    Args:
        samples: pairs of draws for each row.
    """
    return Recipe(of_bits(parts), Disarm(samples))


@recipe("soft bits as the latents themselves", "Maddison, Mnih and Teh", 2017, **SOFT_BITS)
def concrete_vae(parts: Parts) -> Recipe:
    """The VAE with binary Concrete latents: its ELBO is a bound for a model whose latents are soft."""
    return Recipe(of_bits(parts), Elbo())


@recipe("classes, softened while they learn", "Jang, Gu and Poole", 2017)
def gumbel_vae(
    parts: Parts,
    groups: int = 20,
    levels: int = 10,
    temperature: float = 1.0,
    coldest: float = 0.5,
    steps: int = 20_000,
    hard: bool = False,
) -> Recipe:
    """The Gumbel-softmax VAE. While it trains its value is no bound; where it is evaluated, draws are discrete.

    With hard draws, straight-through, it is a bound all the time.

    Args:
        groups: how many classes describe a row.
        levels: how many values each has.
        temperature: of the first update.
        coldest: temperature after the last step.
        steps: updates over which it falls.
        hard: whether draws are discrete while it trains too, straight-through.
    """
    shaped = parts.of_shape(levels, groups)
    family = GumbelSoftmax(SoftClasses(axes=2), Linear(temperature, coldest, steps), hard)
    z = Latent(classes(shaped.latent_shape), shaped.encoder(family=family))
    return Recipe(at_unit_scale(shaped, z, mean=1 / levels, spread=(levels - 1) ** 0.5 / levels), Elbo())


@recipe(
    "a map of codes, with an autoregressive prior over them", "van den Oord, Vinyals and Kavukcuoglu", 2017, net="conv"
)
def vq_vae(
    parts: Parts,
    codes: int = 256,
    dimensions: int = 16,
    depth: int = 1,
    commitment: float = 0.25,
    code_prior: str = "autoregressive",
) -> Recipe:
    """The VQ-VAE; with a depth above 1 each position has as many codes, one for what the others left over.

    Args:
        codes: in the codebook.
        dimensions: of a code.
        depth: codes at each position, one for what the others left over.
        commitment: weight of the encoder's distance from its codes.
        code_prior: autoregressive or uniform.
    """
    book = Codebook(codes, dimensions) if depth == 1 else ResidualCodebook(depth, codes, dimensions)
    return Recipe(quantised(parts, book, code_prior), Elbo() + Commitment(commitment))


@recipe("a map of codes on a fixed grid", "Mentzer, Minnen, Agustsson and Tschannen", 2023, net="conv")
def fsq_vae(parts: Parts, levels: tuple[int, ...] = (8, 6, 5), code_prior: str = "autoregressive") -> Recipe:
    """The VAE with finite scalar quantisation.

    Args:
        levels: of each coordinate of the grid.
        code_prior: autoregressive or uniform.
    """
    return Recipe(quantised(parts, FiniteScalar(levels), code_prior), Elbo())


def quantised(parts: Parts, quantizer: Quantizer, prior: str) -> VAE:
    """A VAE whose latent is a map of codes, a quarter as high and wide as the image."""
    if len(parts.event_shape) != 3:
        raise UsageError(f"a map of codes explains images, not rows of shape {tuple(parts.event_shape)}")
    _, height, width = parts.event_shape
    shaped = parts.of_shape(quantizer.dimensions, -(-height // 4), -(-width // 4))
    encoder = shaped.encoder(family=Quantize(quantizer))
    return VAE(shaped.decoder(), z=Latent(CODE_PRIORS[prior](quantizer, shaped.latent_shape), encoder))
