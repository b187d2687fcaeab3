"""Model directories: weights in safetensors, everything else in JSON and Markdown; loading runs no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vaekit.about import About
from vaekit.card import model_card
from vaekit.common.errors import ModelFileError, UsageError, VaekitError
from vaekit.common.files import directory_written_atomically, refuse_existing
from vaekit.core import VAE, Density
from vaekit.data import Encoding
from vaekit.recipes import Blueprint
from vaekit.recipes.forms import form_of_config
from vaekit.train import Epoch, Trained, device_named
from vaekit.train.resume.checkpoint import Checkpoints

if TYPE_CHECKING:
    from vaekit.data.tables import Schema

FORMAT = "vaekit-model"
VERSION = 1
CONFIG, WEIGHTS, HISTORY, METRICS, CARD = (
    "config.json",
    "model.safetensors",
    "history.jsonl",
    "metrics.json",
    "README.md",
)
DAMAGE = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a record raises that is not as vaekit writes it."""


def save(
    model: VAE,
    about: About,
    directory: Path,
    *,
    force: bool = False,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model directory, whole or not at all.

    Raises `UsageError` where something is already there and `force` is not set, `DataError` where the disk is full.
    """
    refuse_existing(directory, force=force)
    with directory_written_atomically(directory) as partial:
        weights = {name: _own_copy(value) for name, value in model.state_dict().items()}
        _save_weights(weights, partial / WEIGHTS)
        _write(partial / CONFIG, _dumped(config_of(model, about)))
        _write(partial / METRICS, _dumped(metrics or {"train": dict(about.training)}))
        _write(partial / HISTORY, "".join(json.dumps(epoch.as_record()) + "\n" for epoch in about.history))
        _write(partial / CARD, model_card(model, about, metrics or {}))
    return directory


def _own_copy(value: Tensor) -> Tensor:
    """A tensor that shares no memory, as safetensors wants them: tied weights are written under each of their names."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _save_weights(weights: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(weights, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(None, str(error)) from error


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _dumped(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2) + "\n"


def config_of(model: VAE, about: About) -> dict[str, Any]:
    """What a file holds of a model besides its weights and its history."""
    blueprint = model.blueprint
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "recipe": blueprint.recipe if isinstance(blueprint, Blueprint) else None,
        "options": dict(blueprint.options) if isinstance(blueprint, Blueprint) else {},
        "refitted": dict(blueprint.refitted) if isinstance(blueprint, Blueprint) else {},
        **(blueprint.form.to_config() if isinstance(blueprint, Blueprint) else {"event_shape": about.event_shape}),
        "encoding": about.encoding.to_config(),
        "density": vars(about.density),
        "data": about.data,
        "training": dict(about.training),
        **({} if about.schema is None else {"schema": about.schema.to_toml()}),
    }


def load(directory: Path, model: VAE | None = None, device: str = "auto") -> tuple[VAE, About]:
    """Read a model directory.

    Raises `ModelFileError`, in one line, for one that is missing, foreign, truncated or newer than this vaekit.
    """
    config = _read_config(directory / CONFIG)
    try:
        built = _architecture(config, model, directory)
        about = _about(config, read_history(directory / HISTORY))
    except (*DAMAGE, UsageError) as error:
        raise ModelFileError(f"{directory / CONFIG} is damaged ({error!r}): save the model again") from error
    _load_weights(built, directory / WEIGHTS)
    return built.to(device_named(device)).eval(), about


def load_checkpoint(directory: Path, model: VAE | None = None, device: str = "auto") -> tuple[VAE, About]:
    """The model of a run that is under way or broke off, from the newest of its checkpoints.

    Its weights are the best so far where rows are held out, else the latest.

    Raises `ModelFileError` where there is no checkpoint that is whole.
    """
    newest = Checkpoints(directory).newest()
    if newest is None:
        raise ModelFileError(f"{directory} holds no checkpoint: the run broke off before its first")
    try:
        config, run = newest.state["label"], newest.state["run"]
        history = tuple(Epoch.from_record(record) for record in run["history"])
        built = _architecture(config, model, newest.path)
        built.load_state_dict(_evaluated(run))
        about = _about(config, history)
    except (*DAMAGE, RuntimeError) as error:
        raise ModelFileError(f"{newest.path} does not fit this vaekit ({error!r}): go on with the run") from error
    results = Trained(built, history, run["best"]["epoch"] or len(history)).results
    about = replace(about, training={**about.training, **results})
    return built.to(device_named(device)).eval(), about


def _evaluated(run: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that would be kept, did the run end here."""
    updates = run["updates"]
    latest: dict[str, Tensor] = (updates["average"] or updates)["model"]
    return run["best"]["weights"] or latest


def _read_config(path: Path) -> dict[str, Any]:
    folder = path.parent
    if not folder.exists():
        raise ModelFileError(f"{folder}: no such directory: check the path")
    if not path.is_file():
        raise ModelFileError(f"{folder} is no model directory, it has no {path.name}: give one that vaekit saved")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFileError(f"{path} is cut short or not JSON: save the model again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ModelFileError(f"{path} was not written by vaekit: give a model directory that vaekit saved")
    version = config.get("format_version")
    if not isinstance(version, int):
        raise ModelFileError(f"{path} is damaged (format_version is {version!r}): save the model again")
    if version > VERSION:
        raise ModelFileError(f"{path} was written by a newer vaekit: upgrade vaekit to read it")
    return config


def _architecture(config: Mapping[str, Any], model: VAE | None, directory: Path) -> VAE:
    if model is not None:
        return model
    if config["recipe"] is None:
        raise ModelFileError(
            f"{directory} holds a model that was composed by hand: build it and pass it as load(..., model=...)"
        )
    try:
        refitted = config.get("refitted", {})
        return Blueprint(config["recipe"], form_of_config(config), config["options"], refitted).build().model
    except VaekitError as error:
        raise ModelFileError(f"{directory / CONFIG} does not fit this vaekit: {error}") from error


def _about(config: Mapping[str, Any], history: tuple[Epoch, ...]) -> About:
    return About(
        tuple(config["event_shape"]),
        Encoding.from_config(config["encoding"]),
        Density(**config["density"]),
        config["data"],
        config["training"],
        history,
        _schema(config.get("schema")),
    )


def _schema(text: str | None) -> Schema | None:
    if text is None:
        return None
    from vaekit.data.tables import Schema  # loads pandas, which only a table needs

    return Schema.from_toml(text)


def read_history(path: Path) -> tuple[Epoch, ...]:
    """The epochs of a `history.jsonl`; none where there is no such file."""
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Epoch.from_record(json.loads(line)) for line in lines)
    except DAMAGE as error:
        raise ModelFileError(f"{path} is cut short or damaged: restore it, or remove it to load without it") from error


def _load_weights(model: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ModelFileError(f"{path} is missing, and with it the weights: restore the file, or fit the model again")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is cut short or not safetensors: save the model again") from error
    if fault := _mismatch(model.state_dict(), weights):
        raise ModelFileError(f"{path} does not fit its model: {fault}")
    with torch.no_grad():
        model.load_state_dict(weights)


def _mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """The first difference between what a model needs and what a file has, in words."""
    for name in (*expected, *found):
        shapes = [None if name not in side else tuple(side[name].shape) for side in (expected, found)]
        if shapes[0] != shapes[1] and not _has_room(*shapes):
            needed, there = ("absent" if shape is None else shape for shape in shapes)
            return f"{name} should be {needed}, but is {there}"
    return None


def _has_room(needed: tuple[int, ...] | None, there: tuple[int, ...] | None) -> bool:
    """Whether a tensor of no rows yet, as a prior of exemplars has, can take as many as a file holds."""
    return needed is not None and there is not None and needed[:1] == (0,) and needed[1:] == there[1:]
