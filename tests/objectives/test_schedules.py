from __future__ import annotations

import inspect
import math

import pytest
import torch

from vaekit.common.errors import UsageError
from vaekit.objectives import SCHEDULES, Constant, Cosine, Cyclical, Linear, Schedule
from vaekit.objectives.schedules import schedule

SETTINGS = {"value": 0.3, "start": 0.2, "end": 0.8, "steps": 10}


def made(name: str, **changed: float) -> Schedule:
    known = inspect.signature(SCHEDULES[name]).parameters
    return SCHEDULES[name](**{key: value for key, value in {**SETTINGS, **changed}.items() if key in known})


every_schedule = pytest.mark.parametrize("name", SCHEDULES)


def values(schedule: Schedule, *steps: int) -> list[float]:
    return [float(schedule(torch.tensor(step))) for step in steps]


@every_schedule
def test_a_schedule_is_a_scalar_tensor_of_the_step(name: str) -> None:
    step = torch.zeros((), dtype=torch.int64)
    value = made(name)(step)
    assert value.shape == ()
    assert value.is_floating_point()
    assert step.dtype == torch.int64
    assert int(step) == 0


@every_schedule
def test_a_schedule_stays_between_its_ends(name: str) -> None:
    found = values(made(name), *range(40))
    assert all(0.2 - 1e-6 <= value <= 0.8 + 1e-6 for value in found)


@every_schedule
def test_a_schedule_followed_by_another_hands_over_at_its_end(name: str) -> None:
    first, second = made(name), Linear(5.0, 6.0, 4)
    both = first.then(second)
    assert values(both, *range(first.steps)) == values(first, *range(first.steps))
    later = [first.steps + step for step in (0, 1, 2, 4, 9)]
    assert values(both, *later) == pytest.approx([5.0, 5.25, 5.5, 6.0, 6.0])
    assert both.steps == first.steps + 4


@every_schedule
def test_a_schedule_can_follow_another(name: str) -> None:
    second = made(name)
    both = Linear(5.0, 6.0, 4).then(second)
    assert values(both, *range(4, 30)) == pytest.approx(values(second, *range(26)))


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        (Constant(0.3), (0, 5, 10**7), [0.3, 0.3, 0.3]),
        (Linear(0.2, 0.8, 10), (0, 1, 5, 9, 10, 11, 10**7), [0.2, 0.26, 0.5, 0.74, 0.8, 0.8, 0.8]),
        (Linear(1.0, 0.0, 4), (0, 1, 2, 3, 4, 5), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        (
            Cosine(1.0, 0.0, 6),
            (0, 1, 2, 3, 6, 7, 10**7),
            [1.0, 0.5 + math.sqrt(3) / 4, 0.75, 0.5, 0.0, 0.0, 0.0],
        ),
        (
            Cyclical(0.0, 1.0, 8),
            (0, 1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 8 * 10**5 + 2),
            [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.0, 0.25, 1.0, 1.0, 0.0, 0.5],
        ),
        (Cyclical(0.2, 0.8, 10, ramp=1.0), (0, 5, 9, 10), [0.2, 0.5, 0.74, 0.2]),
        (
            Constant(0.0, steps=3).then(Linear(0.0, 1.0, 2)).then(Cosine(1.0, 0.0, 2)),
            (0, 2, 3, 4, 5, 6, 7, 99),
            [0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0, 0.0],
        ),
    ],
)
def test_a_schedule_is_its_formula(schedule: Schedule, steps: tuple[int, ...], expected: list[float]) -> None:
    assert values(schedule, *steps) == pytest.approx(expected, abs=1e-6)


def test_a_number_is_a_constant_schedule() -> None:
    assert schedule(0.3) == Constant(0.3)
    assert schedule(Linear(0.0, 1.0, 3)) == Linear(0.0, 1.0, 3)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "constant"])
@pytest.mark.parametrize("steps", [0, -3])
def test_a_schedule_needs_a_step(name: str, steps: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        made(name, steps=steps)


@pytest.mark.parametrize("ramp", [0.0, -0.5, 1.5, math.nan])
def test_a_ramp_is_a_part_of_the_period(ramp: float) -> None:
    with pytest.raises(UsageError, match="within"):
        Cyclical(0.0, 1.0, 10, ramp=ramp)
