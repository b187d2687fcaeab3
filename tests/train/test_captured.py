"""Recorded steps, on a machine without a GPU: a recording that does its work again takes the place of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from train.toys import rows
from vaekit.common.seeds import seeded
from vaekit.objectives import Cosine, Linear
from vaekit.recipes import build
from vaekit.train import Settings
from vaekit.train.means import Entries
from vaekit.train.steps.captured import Captured
from vaekit.train.steps.updates import Updates
from vaekit.train.steps.ways import OneByOne, way_through

DIGITS = torch.arange(90 * 6).reshape(90, 6) % 7 / 7.0


class Again:
    """Does its work when it is replayed, and leaves the count of Python alone, as a graph does."""

    def __init__(self, updates: Updates, work: Callable[[], None]) -> None:
        self.updates, self.work = updates, work
        self.replays = 0

    def replay(self) -> None:
        done = self.updates.done
        self.work()
        self.updates.done = done
        self.replays += 1


def updates(**changed: Any) -> Updates:
    chosen = {"learning_rate": 1e-2, "batch_size": 4, **changed}
    made = build("annealed_vae", (6,), latent=2, hidden=(8,), steps=30)
    return Updates(*made, Settings(**chosen), torch.device("cpu"))


def weights(of: Updates) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in of.evaluated.parameters()])


def recorded(of: Updates) -> tuple[Captured, list[Again]]:
    recordings: list[Again] = []

    def record(work: Callable[[], None]) -> Again:
        recordings.append(Again(of, work))
        return recordings[0]

    return Captured(of, rows(DIGITS), record), recordings


def entered(entries: list[Entries]) -> Tensor:
    return torch.cat([each.rows for each in entries])


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "momentum"])
def test_recorded_steps_are_the_same_steps(optimizer: str) -> None:
    how = {
        "optimizer": optimizer,
        "learning_rate": Linear(1e-3, 1e-2, 5).then(Cosine(1e-2, 1e-4, 40)),
        "clip": 1.0,
        "ema": 0.9,
    }
    one, other = updates(**how), updates(**how)
    plain = OneByOne(one, rows(DIGITS))
    captured, recordings = recorded(other)
    found = []
    for way in (plain, captured):
        with seeded(3):
            found.append([entry for seed in (1, 2) for entry in way.epoch(seed)])
    assert sum(recording.replays for recording in recordings) > 0
    assert one.done == other.done == int(other.step.count) == 46
    assert sum(sum(each.sizes) for each in found[1]) == 180
    torch.testing.assert_close(entered(found[1]), entered(found[0]))
    torch.testing.assert_close(weights(other), weights(one))


def test_an_epoch_that_goes_on_in_its_midst_takes_the_rest_of_it() -> None:
    one, other = updates(), updates()
    captured, _ = recorded(other)
    with seeded(3):
        plain = list(OneByOne(one, rows(DIGITS)).epoch(1, start=5))
    with seeded(3):
        again = list(captured.epoch(1, start=5))
    torch.testing.assert_close(entered(again), entered(plain))
    torch.testing.assert_close(weights(other), weights(one))


def test_a_step_that_cannot_be_recorded_is_taken_by_itself_and_the_way_says_so() -> None:
    one, other = updates(), updates()

    captured = Captured(other, rows(DIGITS), lambda work: _refuse())
    found = []
    for way in (OneByOne(one, rows(DIGITS)), captured):
        with seeded(3):
            found.append([entry for seed in (1, 2) for entry in way.epoch(seed)])
    assert captured.words == "step by step: not recorded (operation not permitted)"
    torch.testing.assert_close(entered(found[1]), entered(found[0]))


def _refuse() -> Again:
    raise RuntimeError("operation not permitted\nand more")


def test_on_a_cpu_steps_are_taken_one_by_one() -> None:
    assert isinstance(way_through(updates(), rows(DIGITS)), OneByOne)
