"""Training: the loop, where it runs, and who watches it."""

from vaekit.train.batches import Resident
from vaekit.train.history import Epoch, Observer, Plan, Watcher
from vaekit.train.loop import Trained, train
from vaekit.train.means import Means, mean_terms
from vaekit.train.progress import JsonLines, progress
from vaekit.train.runtime import describe, device_named
from vaekit.train.settings import OPTIMIZERS, Settings

__all__ = [
    "OPTIMIZERS",
    "Epoch",
    "JsonLines",
    "Means",
    "Observer",
    "Plan",
    "Resident",
    "Settings",
    "Trained",
    "Watcher",
    "describe",
    "device_named",
    "mean_terms",
    "progress",
    "train",
]
