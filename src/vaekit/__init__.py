"""vaekit: variational autoencoders that are right, fast and useful.

A VAE is an ordered list of latents, each with a prior and a posterior, plus a likelihood. An objective is a
function of the trace that the model leaves when it explains a batch.

Names are imported when they are first used, so that the command line can answer without loading torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaekit.common.cores import spare_the_cores
from vaekit.common.lazy import names_in
from vaekit.common.pages import keep_freed_pages

spare_the_cores()
keep_freed_pages()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vaekit.common.errors import DataError as DataError
    from vaekit.common.errors import ModelFileError as ModelFileError
    from vaekit.common.errors import TrainingDiverged as TrainingDiverged
    from vaekit.common.errors import UsageError as UsageError
    from vaekit.common.errors import VaekitError as VaekitError
    from vaekit.core import VAE as VAE
    from vaekit.core import Batch as Batch
    from vaekit.core import Conditional as Conditional
    from vaekit.core import Deterministic as Deterministic
    from vaekit.core import Fixed as Fixed
    from vaekit.core import Global as Global
    from vaekit.core import Latent as Latent
    from vaekit.core import Parametric as Parametric
    from vaekit.data import load_data as load_data
    from vaekit.data import open_data as open_data
    from vaekit.evaluate import log_evidence as log_evidence
    from vaekit.fitting import fit as fit
    from vaekit.many import fit_many as fit_many
    from vaekit.model import FittedVAE as FittedVAE
    from vaekit.model import load_model as load_model
    from vaekit.objectives import Elbo as Elbo
    from vaekit.recipes import build as build
    from vaekit.scoring import BatchScorer as BatchScorer
    from vaekit.tabular import fit_table as fit_table

_HOME_OF = {
    "Batch": "vaekit.core",
    "BatchScorer": "vaekit.scoring",
    "Conditional": "vaekit.core",
    "DataError": "vaekit.common.errors",
    "Deterministic": "vaekit.core",
    "Elbo": "vaekit.objectives",
    "FittedVAE": "vaekit.model",
    "Fixed": "vaekit.core",
    "Global": "vaekit.core",
    "Latent": "vaekit.core",
    "ModelFileError": "vaekit.common.errors",
    "Parametric": "vaekit.core",
    "TrainingDiverged": "vaekit.common.errors",
    "UsageError": "vaekit.common.errors",
    "VAE": "vaekit.core",
    "VaekitError": "vaekit.common.errors",
    "build": "vaekit.recipes",
    "fit": "vaekit.fitting",
    "fit_many": "vaekit.many",
    "fit_table": "vaekit.tabular",
    "load_data": "vaekit.data",
    "load_model": "vaekit.model",
    "log_evidence": "vaekit.evaluate",
    "open_data": "vaekit.data",
}
__all__ = ["__version__", *_HOME_OF]


__getattr__ = names_in("vaekit", _HOME_OF)


def __dir__() -> list[str]:
    return sorted(__all__)
