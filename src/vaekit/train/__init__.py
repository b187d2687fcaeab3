"""Training: the loop, where it runs, and who watches it.

Names are imported when they are first used: who scores rows needs the batches of this package, and no loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaekit.common.lazy import names_in

if TYPE_CHECKING:
    from vaekit.train.history import Epoch as Epoch
    from vaekit.train.history import Observer as Observer
    from vaekit.train.history import Plan as Plan
    from vaekit.train.history import Trained as Trained
    from vaekit.train.history import Watcher as Watcher
    from vaekit.train.loop import train as train
    from vaekit.train.means import Means as Means
    from vaekit.train.means import mean_terms as mean_terms
    from vaekit.train.progress import JsonLines as JsonLines
    from vaekit.train.ranks.strategy import STRATEGIES as STRATEGIES
    from vaekit.train.ranks.world import World as World
    from vaekit.train.ranks.world import joining as joining
    from vaekit.train.resume.checkpoint import Checkpoint as Checkpoint
    from vaekit.train.resume.checkpoint import Checkpoints as Checkpoints
    from vaekit.train.resume.checkpoint import CheckpointWarning as CheckpointWarning
    from vaekit.train.resume.identity import Identity as Identity
    from vaekit.train.resume.identity import identity_of as identity_of
    from vaekit.train.resume.keeper import Careless as Careless
    from vaekit.train.resume.keeper import Keeper as Keeper
    from vaekit.train.resume.keeper import Keeping as Keeping
    from vaekit.train.resume.keeper import Resumable as Resumable
    from vaekit.train.rows.batches import Resident as Resident
    from vaekit.train.rows.streams import Stream as Stream
    from vaekit.train.runtime import describe as describe
    from vaekit.train.runtime import device_named as device_named
    from vaekit.train.settings import OPTIMIZERS as OPTIMIZERS
    from vaekit.train.settings import Settings as Settings

_HOME_OF = {
    "OPTIMIZERS": "vaekit.train.settings",
    "STRATEGIES": "vaekit.train.ranks.strategy",
    "Careless": "vaekit.train.resume.keeper",
    "Checkpoint": "vaekit.train.resume.checkpoint",
    "CheckpointWarning": "vaekit.train.resume.checkpoint",
    "Checkpoints": "vaekit.train.resume.checkpoint",
    "Epoch": "vaekit.train.history",
    "Identity": "vaekit.train.resume.identity",
    "JsonLines": "vaekit.train.progress",
    "Keeper": "vaekit.train.resume.keeper",
    "Keeping": "vaekit.train.resume.keeper",
    "Means": "vaekit.train.means",
    "Observer": "vaekit.train.history",
    "Plan": "vaekit.train.history",
    "Resident": "vaekit.train.rows.batches",
    "Resumable": "vaekit.train.resume.keeper",
    "Settings": "vaekit.train.settings",
    "Stream": "vaekit.train.rows.streams",
    "Trained": "vaekit.train.history",
    "Watcher": "vaekit.train.history",
    "World": "vaekit.train.ranks.world",
    "describe": "vaekit.train.runtime",
    "device_named": "vaekit.train.runtime",
    "identity_of": "vaekit.train.resume.identity",
    "joining": "vaekit.train.ranks.world",
    "mean_terms": "vaekit.train.means",
    "train": "vaekit.train.loop",
}
__all__ = [*_HOME_OF]

__getattr__ = names_in("vaekit.train", _HOME_OF)
