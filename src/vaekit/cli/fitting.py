"""The main job: config -> recipe -> fit -> evaluate -> report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from vaekit.about import About, density_of_rows
from vaekit.card import evidence_words
from vaekit.cli.launch import Terminated
from vaekit.cli.options import Machine, Output, Training
from vaekit.cli.rundir import REPORT, RunDirectory
from vaekit.cli.speak import answer, remark
from vaekit.common.errors import TrainingDiverged, UsageError
from vaekit.core import VAE
from vaekit.data import BINARIZE, Dataset, Encoding, Splits, load_data
from vaekit.evaluate import Evaluation
from vaekit.fitting import fit, held_out_rows
from vaekit.model import FittedVAE
from vaekit.recipes import RECIPES, build
from vaekit.report import report


@dataclass(frozen=True)
class Request:
    """What a `vaekit fit` was asked for, resolved."""

    source: str
    out: Path
    recipe: str
    model: Mapping[str, Any]
    training: Training
    machine: Machine
    force: bool

    def as_config(self) -> dict[str, Any]:
        """The settings as a config file has them: `vaekit fit --config` takes them back."""
        flat = {"source": self.source, "out": str(self.out), "recipe": self.recipe}
        settings = {key: value for key, value in asdict(self.training).items() if value is not None}
        chosen = RECIPES[self.recipe].resolved(self.model)
        model = {key: list(value) if isinstance(value, tuple) else value for key, value in chosen.items()}
        return {**flat, **settings, **asdict(self.machine), "model": model}


def show_config(request: Request) -> None:
    """Print the resolved settings as TOML."""
    print(tomli_w.dumps(request.as_config()), end="")


def fit_job(request: Request, output: Output) -> None:
    """Train, evaluate, write the run directory, and say where the report is."""
    if request.training.samples < 1:
        raise UsageError(f"samples is {request.training.samples}: an estimate of log p(x) needs at least 1")
    data = load_data(request.source)
    model, objective = build(request.recipe, data.train.event_shape, seed=request.machine.seed, **request.model)
    run = RunDirectory(request.out, request.as_config(), _about(request, data, model), force=request.force)
    remark(output, f"{request.recipe} on {data.name}: {len(data.train):,} rows, {request.training.epochs} epochs")
    fitted = _train(request, data, model, objective, run, output)
    kind, rows = evaluation_rows(request, data)
    remark(
        output, f"evaluating on {len(rows):,} {kind.replace('_', '-')} rows, {request.training.samples} samples each"
    )
    evaluation = fitted.evaluate(rows, request.training.samples, seed=request.machine.seed)
    metrics = metrics_of(fitted, evaluation, kind)
    run.finish(fitted, metrics, report(fitted, rows, evaluation, settings=request.as_config()))
    answer(output, metrics, words_of(metrics, kind, request.out))


def _about(request: Request, data: Splits, model: VAE) -> About:
    encoding = Encoding(BINARIZE[request.training.binarize]())
    density = density_of_rows(model, encoding.prepare(data.train), encoding)
    return About(tuple(data.train.event_shape), encoding, density, data.name)


def _train(request: Request, data: Splits, model: VAE, objective: Any, run: RunDirectory, output: Output) -> FittedVAE:
    training, machine = request.training, request.machine
    try:
        return fit(
            model,
            objective,
            data,
            max_epochs=training.epochs,
            batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            optimizer=training.optimizer,
            clip=training.clip,
            ema=training.ema,
            validation=training.validation,
            patience=training.patience,
            binarize=training.binarize,
            seed=machine.seed,
            device=machine.device,
            verbose=not output.quiet,
            observers=[run],
        )
    except (TrainingDiverged, KeyboardInterrupt, Terminated):
        if run.checkpoint.exists():
            remark(output, f"the weights of the last whole epoch are kept in {run.checkpoint}")
        raise


def evaluation_rows(request: Request, data: Splits) -> tuple[str, Dataset]:
    """The rows to evaluate on and what they are: the test rows, else the held-out ones, else the training rows."""
    if data.test is not None:
        return "test", data.test
    held_out = held_out_rows(data.train, request.training.validation, request.machine.seed)
    return ("training", data.train) if held_out is None else ("held_out", held_out)


def metrics_of(fitted: FittedVAE, evaluation: Evaluation, kind: str) -> dict[str, Any]:
    """What `metrics.json` holds."""
    training = dict(fitted.about.training)
    return {
        kind: evaluation.as_record(),
        "density": {"words": str(fitted.about.density), **vars(fitted.about.density)},
        "train": {key: training[key] for key in ("seconds", "examples_per_second", "epochs", "best_epoch", "examples")},
        "device": training["device"],
        "seed": training["seed"],
        "versions": training["versions"],
    }


def words_of(metrics: Mapping[str, Any], kind: str, out: Path) -> str:
    """The result in words."""
    found, train, density = metrics[kind], metrics["train"], metrics["density"]
    return "\n".join(
        [
            f"{kind.replace('_', '-')} ELBO {found['elbo']:.2f} nats per example "
            f"(log-likelihood {found['log_likelihood']:.2f}, KL {found['kl']:.2f})",
            f"{evidence_words(found, density['is_likelihood'])}; {found['active_units']} active units",
            f"the numbers are: {density['words']}",
            f"trained in {train['seconds']:.1f} s, {train['examples_per_second']:,.0f} examples/s, {metrics['device']}",
            f"report: {out / REPORT}",
        ]
    )
