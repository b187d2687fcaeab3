"""An interrupted run equals an uninterrupted one, to the bit; and what is kept survives what can happen to a disk."""

from __future__ import annotations

import errno
import json
import random
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vaekit
from vaekit.common.errors import DataError, ModelFileError, TrainingDiverged, UsageError
from vaekit.common.interrupts import Deferred
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Latent, Parametric
from vaekit.data import Dataset
from vaekit.families import Bernoulli, Normal
from vaekit.model import FittedVAE
from vaekit.objectives import Cosine, Elbo, Linear, Objective
from vaekit.priors import standard_normal
from vaekit.recipes import build
from vaekit.store import load_checkpoint
from vaekit.train import Epoch, Plan, Watcher
from vaekit.train.resume.checkpoint import MANIFEST, RECORD, TENSORS, Checkpoints, CheckpointWarning
from vaekit.train.resume.keeper import Keeping, Rhythm
from vaekit.train.resume.packing import packed, unpacked

with seeded(0):
    IMAGES = torch.rand(44, 1, 8, 8)
    LABELS = torch.randint(0, 3, (44,))
BATCH, EPOCHS = 10, 4
UPDATES = EPOCHS * 4
"""Of 40 rows, as a tenth is held out."""


def with_batch_norm() -> tuple[VAE, Objective]:
    """Batch normalisation and dropout, composed by hand."""
    with seeded(0):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 4))
        decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
        latent = Latent(standard_normal(2), Parametric(encoder, Normal(), given="x"))
        return VAE(Parametric(decoder, Bernoulli(), given="z"), z=latent), Elbo()


def recipe(name: str, **options: Any) -> Callable[[], tuple[VAE, Objective]]:
    return lambda: build(name, (1, 8, 8), **options)


def small(name: str, **options: Any) -> Callable[[], tuple[VAE, Objective]]:
    return recipe(name, latent=2, hidden=(8,), **options)


@dataclass(frozen=True)
class Kind:
    """A model with its objective, and how it is fitted."""

    make: Callable[[], tuple[VAE, Objective]]
    settings: dict[str, Any] = field(default_factory=dict)

    def fit(self, **more: Any) -> FittedVAE:
        chosen: dict[str, Any] = {"max_epochs": EPOCHS, "batch_size": BATCH, "seed": 3, **self.settings, **more}
        return vaekit.fit(*self.make(), Dataset(IMAGES, LABELS), device="cpu", verbose=False, **chosen)


KINDS = {
    "elbo": Kind(small("vae")),
    "dynamic": Kind(small("vae"), {"binarize": "dynamic", "learning_rate": Cosine(1e-2, 1e-4, 12)}),
    "static, all rows": Kind(small("vae"), {"binarize": "static", "validation": 0}),
    "average": Kind(small("vae"), {"ema": 0.9, "optimizer": "adamw"}),
    "warm-up": Kind(small("annealed_vae", steps=9), {"optimizer": "momentum", "clip": 1.0}),
    "skips": Kind(small("vae"), {"skip": 20.0, "optimizer": "adamax"}),
    "bfloat16": Kind(small("vae"), {"precision": "bfloat16"}),
    "another optimiser": Kind(small("vae"), {"optimizer": torch.optim.RMSprop}),
    "importance": Kind(small("iwae", samples=3), {"binarize": "dynamic"}),
    "doubly reparametrised": Kind(small("dreg", samples=3)),
    "gumbel": Kind(recipe("gumbel_vae", hidden=(8,)), {"learning_rate": 1e-2}),
    "multiplier": Kind(small("geco_vae")),
    "two players": Kind(small("factor_vae"), {"binarize": "dynamic", "ema": 0.8}),
    "critic": Kind(small("vae_gan")),
    "codes": Kind(recipe("vq_vae", codes=4), {"ema": 0.9}),
    "pseudo-inputs": Kind(small("vamp_vae", pseudo_inputs=5)),
    "exemplars": Kind(small("exemplar_vae"), {"binarize": "dynamic"}),
    "exemplars, averaged": Kind(small("exemplar_vae"), {"ema": 0.5}),
    "flow": Kind(small("iaf_vae")),
    "labels": Kind(small("m2", labels=3)),
    "batch normalisation": Kind(with_batch_norm, {"ema": 0.9}),
    "early stopping": Kind(small("vae"), {"learning_rate": 0.3, "patience": 1, "max_epochs": 30}),
}


class Signal(Watcher):
    """Sends this process a signal after so many updates."""

    def __init__(self, after: int, number: int = signal.SIGINT) -> None:
        self.left, self.number = after, number

    def batch(self, examples: int) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


class Crash(RuntimeError):
    """Something unforeseen."""


class Crashes(Watcher):
    """Ends the run after so many updates, without giving anybody time to keep anything."""

    def __init__(self, after: int) -> None:
        self.left = after

    def batch(self, examples: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


def refuse_difference(one: FittedVAE, other: FittedVAE) -> None:
    """Weights, buffers, every number of the history but the time, and the best epoch: to the bit."""
    weights = [fitted.model.state_dict() for fitted in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        assert torch.equal(weights[0][name], weights[1][name]), name
    assert [timeless(epoch) for epoch in one.history] == [timeless(epoch) for epoch in other.history]
    assert one.about.training["best_epoch"] == other.about.training["best_epoch"]


def timeless(epoch: Epoch) -> dict[str, Any]:
    return {name: value for name, value in epoch.as_record().items() if name != "seconds"}


def every_update(path: Path) -> Keeping:
    """Whenever the clock has moved on: practically after each update."""
    return Keeping(path, minutes=1e-9, share=1.0)


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_run_equals_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    """It is interrupted wherever chance has it, and again on the way from there; then it crashes."""
    kind, chance = KINDS[name], random.Random(name)
    whole = kind.fit()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            kind.fit(checkpoints=tmp_path, resume=True, observers=[Signal(chance.randint(1, 5))])
    with pytest.raises(Crash):
        kind.fit(checkpoints=every_update(tmp_path), resume=True, observers=[Crashes(chance.randint(1, 5))])
    refuse_difference(whole, kind.fit(checkpoints=tmp_path, resume=True))


@pytest.mark.parametrize("update", range(1, UPDATES + 1))
def test_wherever_it_is_interrupted(update: int, tmp_path: Path) -> None:
    kind = KINDS["two players"]
    with pytest.raises(KeyboardInterrupt):
        kind.fit(checkpoints=tmp_path, observers=[Signal(update)])
    batches = sorted(tmp_path.iterdir())[-1].name
    assert batches == f"epoch-{(update - 1) // 4 + 1:05}-batch-{(update - 1) % 4 + 1:06}"
    refuse_difference(uninterrupted("two players"), kind.fit(checkpoints=tmp_path, resume=True))


WHOLE: dict[str, FittedVAE] = {}


def uninterrupted(name: str) -> FittedVAE:
    """The run without an interruption; trained once."""
    if name not in WHOLE:
        WHOLE[name] = KINDS[name].fit()
    return WHOLE[name]


def test_keeping_a_run_does_not_change_it(tmp_path: Path) -> None:
    refuse_difference(uninterrupted("elbo"), KINDS["elbo"].fit(checkpoints=every_update(tmp_path)))


def test_a_run_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    seen = Counts()
    KINDS["elbo"].fit(checkpoints=tmp_path)
    again = KINDS["elbo"].fit(checkpoints=tmp_path, resume=True, observers=[seen])
    assert (seen.batches, seen.epochs) == (0, 0)
    refuse_difference(uninterrupted("elbo"), again)


class Counts(Watcher):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.batches = self.epochs = 0
        self.plan: Plan | None = None

    def begin(self, plan: Plan) -> None:
        self.plan = plan

    def batch(self, examples: int) -> None:
        self.batches += 1

    def epoch(self, epoch: Epoch, model: VAE) -> None:
        self.epochs += 1


def test_observers_are_told_where_a_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        KINDS["elbo"].fit(checkpoints=tmp_path, observers=[Signal(6)])
    seen = Counts()
    KINDS["elbo"].fit(checkpoints=tmp_path, resume=True, observers=[seen])
    assert (seen.batches, seen.epochs) == (UPDATES - 6, EPOCHS - 1)
    assert seen.plan is not None
    assert (seen.plan.seen, len(seen.plan.done)) == (60, 1)


def test_more_epochs_make_a_longer_run_of_the_same(tmp_path: Path) -> None:
    KINDS["elbo"].fit(checkpoints=tmp_path, max_epochs=2)
    refuse_difference(uninterrupted("elbo"), KINDS["elbo"].fit(checkpoints=tmp_path, resume=True))


def test_sigterm_is_answered_by_whoever_handled_it_after_a_checkpoint(tmp_path: Path) -> None:
    def end(number: int, frame: object) -> None:
        assert Checkpoints(tmp_path).newest() is not None
        raise Crash

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(Crash):
            KINDS["elbo"].fit(checkpoints=tmp_path, observers=[Signal(7, signal.SIGTERM)])
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    refuse_difference(uninterrupted("elbo"), KINDS["elbo"].fit(checkpoints=tmp_path, resume=True))


def test_a_second_signal_is_not_waited_for() -> None:
    with Deferred(signal.SIGINT) as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.caught == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signals.caught = None


def test_a_signal_that_nobody_asked_for_is_answered_at_the_end_of_the_scope() -> None:
    with pytest.raises(KeyboardInterrupt), Deferred(signal.SIGINT):
        signal.raise_signal(signal.SIGINT)


# What is on the disk.


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """Checkpoints of a run that broke off, two of them."""
    for update in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            KINDS["elbo"].fit(checkpoints=tmp_path, resume=True, observers=[Signal(update)])
    return tmp_path


def newest(path: Path) -> Path:
    return Checkpoints(path).found()[-1]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
@pytest.mark.parametrize("file", [TENSORS, RECORD, MANIFEST])
def test_a_damaged_checkpoint_is_passed_over(file: str, harm: Callable[[Path], None], interrupted: Path) -> None:
    if (file, harm) == (MANIFEST, flip):
        pytest.skip("a manifest that says the same is whole")
    harm(newest(interrupted) / file)
    with pytest.warns(CheckpointWarning, match=f"{newest(interrupted).name} is damaged: {file}"):
        again = KINDS["elbo"].fit(checkpoints=interrupted, resume=True)
    refuse_difference(uninterrupted("elbo"), again)


def test_where_all_are_damaged_the_run_is_not_begun_anew_by_itself(interrupted: Path) -> None:
    for path in Checkpoints(interrupted).found():
        cut(path / TENSORS)
    with pytest.warns(CheckpointWarning), pytest.raises(ModelFileError, match="is whole"):
        KINDS["elbo"].fit(checkpoints=interrupted, resume=True)


def test_a_checkpoint_of_a_newer_vaekit_is_refused(interrupted: Path) -> None:
    manifest = newest(interrupted) / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 99}))
    with pytest.raises(ModelFileError, match="newer vaekit"):
        KINDS["elbo"].fit(checkpoints=interrupted, resume=True)


def test_the_last_few_are_kept_and_leftovers_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each epoch one is due, however long a slow disk took for the one before."""
    monkeypatch.setattr(Rhythm, "after_epoch", lambda self: True)
    leftover = tmp_path / ".epoch-00001-batch-000001.partial-x"
    leftover.mkdir()
    KINDS["elbo"].fit(checkpoints=Keeping(tmp_path, last=3))
    assert len(list(tmp_path.iterdir())) == 3
    assert newest(tmp_path).name == f"epoch-{EPOCHS + 1:05}-batch-000000"


def test_nothing_in_a_checkpoint_could_run(interrupted: Path) -> None:
    assert {file.name for file in newest(interrupted).iterdir()} == {TENSORS, RECORD, MANIFEST}
    for name in (RECORD, MANIFEST):
        json.loads((newest(interrupted) / name).read_text())


def test_a_full_disk_costs_a_warning_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for the first checkpoint, and for no other."""
    from vaekit.train.resume import checkpoint

    real = checkpoint.save_file

    def full(tensors: dict[str, Tensor], path: Path, **rest: Any) -> None:
        if Checkpoints(tmp_path).found():
            Path(path).write_bytes(b"as much as fits")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path, **rest)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.warns(CheckpointWarning, match="No space left.*the run goes on") as told:
        found = KINDS["elbo"].fit(checkpoints=every_update(tmp_path))
    assert len(told) == 1
    refuse_difference(uninterrupted("elbo"), found)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    refuse_difference(uninterrupted("elbo"), KINDS["elbo"].fit(checkpoints=tmp_path, resume=True))


@pytest.mark.parametrize("moment", ["save_file", "rename", "fsync"])
def test_a_writer_that_dies_leaves_what_was_there(
    moment: str, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Death is an error that nobody handles and that leaves no time to clean up."""
    before = {path.name for path in Checkpoints(interrupted).found()}

    def dies(*_: Any, **__: Any) -> None:
        raise SystemExit

    place = {
        "save_file": "vaekit.train.resume.checkpoint.save_file",
        "rename": "pathlib.Path.rename",
        "fsync": "os.fsync",
    }
    monkeypatch.setattr(place[moment], dies)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(SystemExit):
        KINDS["elbo"].fit(checkpoints=every_update(interrupted), resume=True)
    monkeypatch.undo()
    assert {path.name for path in Checkpoints(interrupted).found()} == before
    refuse_difference(uninterrupted("elbo"), KINDS["elbo"].fit(checkpoints=interrupted, resume=True))
    assert not list(interrupted.glob(".*"))


# What is refused.


def test_checkpoints_of_a_run_are_not_overwritten(interrupted: Path) -> None:
    with pytest.raises(UsageError, match="holds the checkpoints of a run"):
        KINDS["elbo"].fit(checkpoints=interrupted)
    KINDS["elbo"].fit(checkpoints=Keeping(interrupted, force=True), max_epochs=1)
    assert newest(interrupted).name == "epoch-00002-batch-000000"


def test_to_resume_from_nowhere_is_refused() -> None:
    with pytest.raises(UsageError, match="checkpoints="):
        KINDS["elbo"].fit(resume=True)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"batch_size": 5}, "batch_size was 10, and now is 5"),
        ({"seed": 4}, "seed"),
        ({"binarize": "dynamic"}, "encoding"),
        ({"validation": 0.2}, "validation"),
        ({"learning_rate": Linear(0, 1, 5)}, "learning_rate"),
        ({"ema": 0.5}, "ema"),
    ],
)
def test_other_settings_are_another_run(changed: dict[str, Any], word: str, interrupted: Path) -> None:
    with pytest.raises(UsageError, match=word):
        KINDS["elbo"].fit(checkpoints=interrupted, resume=True, **changed)


def test_other_data_another_model_or_objective_are_another_run(interrupted: Path) -> None:
    resuming: dict[str, Any] = {"checkpoints": interrupted, "resume": True, "seed": 3, "batch_size": BATCH}
    changed = IMAGES.clone()
    changed[7, 0, 3, 3] += 1e-6
    with pytest.raises(UsageError, match="data was"):
        vaekit.fit(*KINDS["elbo"].make(), Dataset(changed, LABELS), **resuming)
    with pytest.raises(UsageError, match="rows was 44, and now is 40"):
        vaekit.fit(*KINDS["elbo"].make(), Dataset(IMAGES[:40], LABELS[:40]), **resuming)
    with pytest.raises(UsageError, match="model was"):
        vaekit.fit(*build("vae", (1, 8, 8), latent=3, hidden=(8,)), Dataset(IMAGES, LABELS), **resuming)
    with pytest.raises(UsageError, match="objective was"):
        vaekit.fit(*small("beta_vae", beta=3.0)(), Dataset(IMAGES, LABELS), **resuming)


def test_other_circumstances_are_told(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaekit.train.resume.identity.describe", lambda device: "cpu (64 threads)")
    with pytest.warns(CheckpointWarning, match="device was .* not to the bit"):
        KINDS["elbo"].fit(checkpoints=interrupted, resume=True)


def test_what_diverges_is_not_kept(tmp_path: Path) -> None:
    """The first epoch is kept; the updates that burst the weights are not, though a checkpoint is due after each."""
    kind = Kind(small("vae"), {"learning_rate": Linear(1e-3, 1e-3, 4).then(Linear(1e30, 1e30, 1)), "patience": 30})
    with pytest.raises(TrainingDiverged):
        kind.fit(checkpoints=every_update(tmp_path))
    kept = Checkpoints(tmp_path).newest()
    assert kept is not None
    assert all(value.isfinite().all() for value in kept.state["run"]["updates"]["model"].values())


# What is in a checkpoint, and when it is written.


def test_a_model_is_opened_from_the_checkpoints_of_a_run_that_broke_off(interrupted: Path) -> None:
    model, about = load_checkpoint(interrupted, device="cpu")
    again = KINDS["elbo"].fit(checkpoints=interrupted, resume=True, max_epochs=1)
    weights = again.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert about.event_shape == (1, 8, 8)
    assert (about.training["epochs"], about.training["best_epoch"]) == (1, 1)
    assert FittedVAE(model, about).sample(2).shape == (2, 1, 8, 8)


def states() -> Iterator[Any]:
    yield {"a": torch.arange(3), 1: {"b": torch.tensor(2.5)}, (2, "c"): None}
    yield [torch.zeros(0, 3), (1, 2.5, float("inf")), {"$tensor": True}, "text", False]
    yield {"a/b": torch.ones(1), "a": {"b": torch.zeros(1)}}
    yield torch.tensor([1.0, torch.nan], dtype=torch.bfloat16)


@pytest.mark.parametrize("state", list(states()), ids=range(4))
def test_a_state_is_put_together_as_it_was(state: Any) -> None:
    apart = packed(state)
    again = unpacked(apart._replace(record=json.loads(json.dumps(apart.record))))
    assert shown(again) == shown(state)


def shown(state: Any) -> str:
    """Everything about a state, the bits of its tensors too."""
    match state:
        case Tensor():
            return f"{state.dtype} {tuple(state.shape)} {state.flatten().view(torch.uint8).tolist()}"
        case dict():
            return str([(repr(key), shown(value)) for key, value in state.items()])
        case list() | tuple():
            return type(state).__name__ + str([shown(value) for value in state])
    return repr(state)


def test_what_would_have_to_be_pickled_is_refused() -> None:
    with pytest.raises(UsageError, match="players/0 is a object"):
        packed({"players": [object()]})


def test_writing_takes_its_share_of_the_time_and_no_more() -> None:
    """An epoch takes a second, a checkpoint half a second: one in ten seconds is written."""
    clock = [0.0]
    rhythm = Rhythm(minutes=10, share=0.05, clock=lambda: clock[0])
    written = 0
    for _ in range(1000):
        clock[0] += 1.0
        if rhythm.after_epoch():
            with rhythm.writing():
                clock[0] += 0.5
            written += 1
    assert written * 0.5 / clock[0] <= 0.05
    assert written > 90


def test_within_long_epochs_the_minutes_count() -> None:
    clock = [0.0]
    rhythm = Rhythm(minutes=2, share=0.05, clock=lambda: clock[0])
    due = []
    for second in range(600):
        clock[0] = float(second)
        if rhythm.within_epoch():
            with rhythm.writing():
                due.append(second)
    assert due == [120, 240, 360, 480]


def test_nonsense_is_refused() -> None:
    for changed in ({"minutes": 0}, {"last": 0}, {"share": 0.0}):
        with pytest.raises(UsageError):
            Keeping("somewhere", **changed)  # type: ignore[arg-type]


def test_a_place_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(CheckpointWarning, match="cannot write"):
        found = KINDS["elbo"].fit(checkpoints=tmp_path / "file")
    refuse_difference(uninterrupted("elbo"), found)


def test_no_room_is_an_error_to_who_writes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError):
        Checkpoints(tmp_path / "file").write(1, 0, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoints(tmp_path / "nowhere").newest() is None


def test_a_signal_that_a_launcher_repeats_is_one_signal() -> None:
    with Deferred(signal.SIGINT, same=60.0) as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.deliver()
