"""Model directories: what is written is read again to the bit, and what is damaged is named in one line."""

from __future__ import annotations

import errno
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vaekit.common.errors import DataError, ModelFileError, UsageError
from vaekit.common.files import directory_written_atomically
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Deterministic, Latent, Parametric
from vaekit.families import Bernoulli, Learned, Normal
from vaekit.fitting import fit
from vaekit.model import FittedVAE, load_model
from vaekit.objectives import Elbo
from vaekit.priors import standard_normal
from vaekit.recipes import Blueprint, build

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def fitted() -> FittedVAE:
    with seeded(0):
        rows = (torch.rand(40, 6) < 0.3).float()
    return fit(*build("vae", (6,), latent=2, hidden=(8,)), rows, max_epochs=3, verbose=False)


@pytest.fixture
def saved(fitted: FittedVAE, tmp_path: Path) -> Path:
    return fitted.save(tmp_path / "model")


def by_hand() -> VAE:
    """A model whose parts share a net: its weights are tied."""
    net = nn.Linear(2, 6)
    features = Deterministic(nn.Sequential(nn.Linear(6, 2), net, nn.ReLU()), "x")
    encoder = Parametric(nn.Linear(6, 4), Normal(), "h")
    return VAE(Parametric(net, Bernoulli(), "z"), z=Latent(standard_normal(2), encoder), h=features)


def text_of(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_what_was_saved_gives_the_same_numbers_to_the_bit(fitted: FittedVAE, saved: Path) -> None:
    loaded, x = load_model(saved, device="cpu"), torch.rand(7, 6)
    assert torch.equal(loaded.sample(5, seed=3), fitted.sample(5, seed=3))
    assert torch.equal(loaded.encode(x), fitted.encode(x))
    assert torch.equal(loaded.encode_draws(x, 3, seed=1), fitted.encode_draws(x, 3, seed=1))
    assert torch.equal(loaded.reconstruct(x), fitted.reconstruct(x))
    ours, theirs = loaded.log_evidence(x, 9, seed=2), fitted.log_evidence(x, 9, seed=2)
    assert torch.equal(ours.log_evidence, theirs.log_evidence)
    assert loaded.evaluate(x, 5).as_record() == fitted.evaluate(x, 5).as_record()


def test_what_is_known_of_it_is_kept(fitted: FittedVAE, saved: Path) -> None:
    loaded = load_model(saved)
    assert loaded.history == fitted.history
    assert loaded.about.event_shape == (6,)
    assert loaded.about.density == fitted.about.density
    assert loaded.about.encoding == fitted.about.encoding
    assert loaded.about.training == fitted.about.training
    assert isinstance(loaded.model.blueprint, Blueprint)
    assert isinstance(fitted.model.blueprint, Blueprint)
    assert str(loaded.model.blueprint.build()) == str(fitted.model.blueprint.build())


def test_a_saved_model_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    again = load_model(saved).save(tmp_path / "again")
    assert text_of(again) == text_of(saved)


def test_the_directory_says_what_it_is(saved: Path) -> None:
    assert {file.name for file in saved.iterdir()} == {
        *("config.json", "model.safetensors", "history.jsonl", "metrics.json", "README.md")
    }
    config = json.loads((saved / "config.json").read_text())
    assert (config["format"], config["format_version"], config["recipe"]) == ("vaekit-model", 1, "vae")
    card = (saved / "README.md").read_text()
    assert "Kingma and Welling, 2013" in card
    assert "probability mass of binary values" in card


@pytest.mark.parametrize("likelihood", ["normal", "normal_per_dimension", "continuous_bernoulli"])
def test_scalar_and_vector_parameters_are_kept(likelihood: str, tmp_path: Path) -> None:
    model, objective = build("vae", (6,), latent=2, hidden=(8,), likelihood=likelihood)
    fitted = fit(model, objective, torch.rand(30, 6), max_epochs=2, verbose=False)
    loaded = load_model(fitted.save(tmp_path / "model"))
    for name, value in fitted.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name


def test_a_model_composed_by_hand_is_saved_and_needs_its_parts_to_be_loaded(tmp_path: Path) -> None:
    fitted = fit(by_hand(), Elbo(), torch.rand(30, 6), max_epochs=2, verbose=False)
    directory = fitted.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="composed by hand"):
        load_model(directory)
    loaded = load_model(directory, by_hand())
    assert torch.equal(loaded.sample(5), fitted.sample(5))


def test_a_model_averaged_over_training_is_saved_as_it_is_used(tmp_path: Path) -> None:
    model, objective = build("vae", (6,), latent=2, hidden=(8,), normalisation="batch")
    fitted = fit(model, objective, torch.rand(30, 6), max_epochs=2, ema=0.5, verbose=False)
    loaded, x = load_model(fitted.save(tmp_path / "model")), torch.rand(4, 6)
    assert torch.equal(loaded.encode(x), fitted.encode(x))


def truncated(name: str, keep: float) -> Damage:
    def cut(directory: Path) -> None:
        data = (directory / name).read_bytes()
        (directory / name).write_bytes(data[: int(keep * len(data))])

    return cut


def removed(name: str) -> Damage:
    return lambda directory: (directory / name).unlink()


def replaced(name: str, content: bytes) -> Damage:
    def write(directory: Path) -> None:
        (directory / name).write_bytes(content)

    return write


def configured(**changed: Any) -> Damage:
    def write(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps({**config, **changed}))

    return write


def lacking(key: str) -> Damage:
    def write(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())
        del config[key]
        (directory / "config.json").write_text(json.dumps(config))

    return write


def weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Damage:
    def write(directory: Path) -> None:
        file = directory / "model.safetensors"
        save_file(change(load_file(file)), file)

    return write


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no config": (removed("config.json"), "no model directory"),
    "config cut short": (truncated("config.json", 0.5), "cut short or not JSON"),
    "empty config": (truncated("config.json", 0), "cut short or not JSON"),
    "config is binary": (replaced("config.json", b"\xff\xfe\x00"), "cut short or not JSON"),
    "config is a list": (replaced("config.json", b"[1, 2]"), "not written by vaekit"),
    "a foreign config": (replaced("config.json", b'{"model_type": "bert"}'), "not written by vaekit"),
    "a newer version": (configured(format_version=2), "newer vaekit: upgrade"),
    "a version in words": (configured(format_version="one"), "format_version is 'one'"),
    "no version": (lacking("format_version"), "format_version is None"),
    "an unknown recipe": (configured(recipe="vea"), "did you mean 'vae'"),
    "a recipe of numbers": (configured(recipe=[1]), "damaged"),
    "an unknown setting": (configured(options={"latnt": 3}), "did you mean 'latent'"),
    "options that are none": (configured(options=7), "damaged"),
    "no event shape": (lacking("event_shape"), "damaged"),
    "an empty event shape": (configured(event_shape=[]), "no coordinates"),
    "an event shape in words": (configured(event_shape="six"), "damaged"),
    "no encoding": (lacking("encoding"), "damaged"),
    "an unknown encoding": (configured(encoding={"binarize": "often"}), "often"),
    "an encoding in words": (configured(encoding="binarize"), "damaged"),
    "a density of another kind": (configured(density={"colour": "red"}), "damaged"),
    "history cut short": (truncated("history.jsonl", 0.7), "history.jsonl is cut short"),
    "history of numbers": (replaced("history.jsonl", b"5\n"), "history.jsonl is cut short"),
    "no weights": (removed("model.safetensors"), "model.safetensors is missing"),
    "weights cut short": (truncated("model.safetensors", 0.9), "cut short or not safetensors"),
    "a header cut short": (truncated("model.safetensors", 0.01), "cut short or not safetensors"),
    "empty weights": (truncated("model.safetensors", 0), "cut short or not safetensors"),
    "a weight too few": (weights(lambda found: dict(list(found.items())[1:])), "but is absent"),
    "a weight too many": (weights(lambda found: {**found, "extra": torch.zeros(3)}), "extra should be absent"),
    "wrong shapes": (weights(lambda found: {name: value[:1].clone() for name, value in found.items()}), "should be"),
    "another model's shape": (configured(event_shape=[7]), "does not fit its model"),
}


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_directory_is_named_in_one_line(damage: Damage, complaint: str, saved: Path) -> None:
    damage(saved)
    with pytest.raises(ModelFileError) as caught:
        load_model(saved)
    message = str(caught.value)
    assert complaint in message
    assert str(saved) in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_without_a_history_a_model_loads_all_the_same(fitted: FittedVAE, saved: Path) -> None:
    (saved / "history.jsonl").unlink()
    loaded = load_model(saved)
    assert loaded.history == ()
    assert torch.equal(loaded.sample(3), fitted.sample(3))


@pytest.mark.parametrize("nothing", ["absent", "a file"])
def test_what_is_no_directory_is_named(nothing: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    if nothing == "a file":
        path.write_text("hello")
    with pytest.raises(ModelFileError, match=r"no (model|such) directory"):
        load_model(path)


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "boom")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "history.jsonl"])
@pytest.mark.parametrize("by_torch", [True, False])
def test_a_pickle_in_disguise_is_refused_and_runs_nothing(
    name: str, by_torch: bool, saved: Path, tmp_path: Path
) -> None:
    bomb = Bomb(tmp_path / "exploded")
    if by_torch:
        torch.save(bomb, saved / name)
    else:
        (saved / name).write_bytes(pickle.dumps(bomb))
    with pytest.raises(ModelFileError):
        load_model(saved)
    assert not bomb.path.exists()


def test_another_model_does_not_take_the_weights(saved: Path) -> None:
    with pytest.raises(ModelFileError, match="does not fit its model"):
        load_model(saved, by_hand())


def test_an_existing_directory_is_left_alone_unless_forced(fitted: FittedVAE, saved: Path) -> None:
    before = text_of(saved)
    with pytest.raises(UsageError, match="--force"):
        fitted.save(saved)
    assert text_of(saved) == before
    (saved / "stray").write_text("from an older run")
    fitted.save(saved, force=True)
    assert text_of(saved) == before


def full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["_write", "save_file", "model_card"])
@pytest.mark.parametrize("there_already", [True, False])
def test_a_full_disk_leaves_nothing_half_written(
    function: str, there_already: bool, fitted: FittedVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "model"
    before = text_of(fitted.save(directory)) if there_already else None
    monkeypatch.setattr(f"vaekit.store.{function}", full_disk)
    with pytest.raises(DataError, match=r"cannot write .*model: No space left on device"):
        fitted.save(directory, force=True)
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if there_already else [])
    if there_already:
        assert text_of(directory) == before


def test_weights_that_cannot_be_written_are_an_error_of_the_disk(
    fitted: FittedVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def fail(*_: Any, **__: Any) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("vaekit.store.save_file", fail)
    with pytest.raises(DataError, match="No space left"):
        fitted.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_error_of_any_kind_leaves_nothing_half_written(
    fitted: FittedVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vaekit.store.model_card", fail)
    with pytest.raises(KeyboardInterrupt):
        fitted.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_where_the_new_directory_cannot_take_its_place_the_old_one_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "model"
    old.mkdir()
    (old / "kept").write_text("old")
    rename = Path.rename

    def refuse_the_new(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(DataError, match="Input/output error"), directory_written_atomically(old) as partial:
        (partial / "new").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert text_of(old) == {"kept": b"old"}


def test_parents_that_are_not_there_are_made(fitted: FittedVAE, tmp_path: Path) -> None:
    assert (fitted.save(tmp_path / "runs" / "one" / "model") / "config.json").is_file()


def test_a_place_that_cannot_be_written_to_is_named(fitted: FittedVAE, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        fitted.save(tmp_path / "file" / "model")


def test_learned_scales_are_named_where_they_do_not_fit(tmp_path: Path) -> None:
    """A scalar that should be a vector, and the other way round."""
    encoder = Parametric(nn.Linear(6, 4), Normal(), "x")

    def model(scale: Learned) -> VAE:
        likelihood = Parametric(nn.Linear(2, 6), Normal(scale), "z")
        return VAE(likelihood, z=Latent(standard_normal(2), encoder))

    fitted = fit(model(Learned()), Elbo(), torch.rand(30, 6), max_epochs=1, verbose=False)
    directory = fitted.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"raw should be \(6,\), but is \(\)"):
        load_model(directory, model(Learned((6,))))
