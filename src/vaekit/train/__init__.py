"""Training: the loop, where it runs, and who watches it."""

from vaekit.train.batches import Resident
from vaekit.train.checkpoint import Checkpoint, Checkpoints, CheckpointWarning
from vaekit.train.history import Epoch, Observer, Plan, Watcher
from vaekit.train.identity import Identity, identity_of
from vaekit.train.keeper import Careless, Keeper, Keeping, Resumable
from vaekit.train.loop import Trained, train
from vaekit.train.means import Means, mean_terms
from vaekit.train.progress import JsonLines, progress
from vaekit.train.runtime import describe, device_named
from vaekit.train.settings import OPTIMIZERS, Settings
from vaekit.train.strategy import STRATEGIES
from vaekit.train.streams import Stream
from vaekit.train.world import World, joining

__all__ = [
    "OPTIMIZERS",
    "STRATEGIES",
    "Careless",
    "Checkpoint",
    "CheckpointWarning",
    "Checkpoints",
    "Epoch",
    "Identity",
    "JsonLines",
    "Keeper",
    "Keeping",
    "Means",
    "Observer",
    "Plan",
    "Resident",
    "Resumable",
    "Settings",
    "Stream",
    "Trained",
    "Watcher",
    "World",
    "describe",
    "device_named",
    "identity_of",
    "joining",
    "mean_terms",
    "progress",
    "train",
]
