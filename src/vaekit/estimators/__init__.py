"""scikit-learn's faces of a fitted VAE: a thin estimator for each use, all of them trained by the one `fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaekit.common.lazy import names_in

if TYPE_CHECKING:
    from vaekit.estimators.classifier import VAEClassifier as VAEClassifier
    from vaekit.estimators.clusterer import VAEClusterer as VAEClusterer
    from vaekit.estimators.density import VAEDensity as VAEDensity
    from vaekit.estimators.detector import VAEDetector as VAEDetector
    from vaekit.estimators.imputer import VAEImputer as VAEImputer
    from vaekit.estimators.pyod import PyODFace as PyODFace
    from vaekit.estimators.reducer import VAEReducer as VAEReducer
    from vaekit.estimators.synthesizer import VAESynthesizer as VAESynthesizer

_HOME_OF = {
    "PyODFace": "vaekit.estimators.pyod",
    "VAEClassifier": "vaekit.estimators.classifier",
    "VAEClusterer": "vaekit.estimators.clusterer",
    "VAEDensity": "vaekit.estimators.density",
    "VAEDetector": "vaekit.estimators.detector",
    "VAEImputer": "vaekit.estimators.imputer",
    "VAEReducer": "vaekit.estimators.reducer",
    "VAESynthesizer": "vaekit.estimators.synthesizer",
}
__all__ = list(_HOME_OF)

__getattr__ = names_in("vaekit.estimators", _HOME_OF)


def __dir__() -> list[str]:
    return sorted(__all__)
