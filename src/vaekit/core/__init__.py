"""What a VAE is: conditionals, latents, the model they form, and the trace it leaves."""

from vaekit.core.condition import Condition
from vaekit.core.conditional import Conditional, Deterministic, Explains, Fixed, Parametric
from vaekit.core.context import LEAD, NOTHING, Context
from vaekit.core.density import Density, bits_per_dimension
from vaekit.core.family import Family, over_event
from vaekit.core.latent import Draw, Latent, LatentTerm, Take, centre, draw
from vaekit.core.merge import PrecisionWeighted
from vaekit.core.notation import Formula, Formulated, Symbol, Worded, Written
from vaekit.core.process import Process, aligned
from vaekit.core.shared import Global, RowShare, Shared, learnt, shared_latents
from vaekit.core.trace import Batch, Generation, Trace
from vaekit.core.vae import VAE

__all__ = [
    "LEAD",
    "NOTHING",
    "VAE",
    "Batch",
    "Condition",
    "Conditional",
    "Context",
    "Density",
    "Deterministic",
    "Draw",
    "Explains",
    "Family",
    "Fixed",
    "Formula",
    "Formulated",
    "Generation",
    "Global",
    "Latent",
    "LatentTerm",
    "Parametric",
    "PrecisionWeighted",
    "Process",
    "RowShare",
    "Shared",
    "Symbol",
    "Take",
    "Trace",
    "Worded",
    "Written",
    "aligned",
    "bits_per_dimension",
    "centre",
    "draw",
    "learnt",
    "over_event",
    "shared_latents",
]
