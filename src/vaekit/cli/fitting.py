"""The main job: config -> recipe -> fit -> evaluate -> report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from vaekit.caveats import caveats
from vaekit.cli.launch import Terminated
from vaekit.cli.options import Machine, Output, Training
from vaekit.cli.rundir import REPORT, RunDirectory, is_finished
from vaekit.cli.settling import by_settings, by_size, settled, sized, told_of
from vaekit.cli.speak import answer, remark
from vaekit.common.errors import TrainingDiverged, UsageError
from vaekit.core import VAE
from vaekit.data import Dataset, Splits, Streamed, open_data
from vaekit.data.streams import Store
from vaekit.evaluate import Evaluation
from vaekit.evaluate.words import bound_words, evidence_words
from vaekit.fitting import fit, held_out_rows
from vaekit.model import FittedVAE
from vaekit.recipes import RECIPES, build
from vaekit.tabular import form_of, words_of_fit
from vaekit.train.ranks.world import World, joining


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
    resume: bool = False
    schema: Path | None = None

    def settled(self, rows: Dataset | Store) -> tuple[Request, tuple[str, ...]]:
        """The request with a value for what was left open, and what there is to say of the values."""
        chosen = by_size(rows)
        request = replace(self, model=sized(self.model, chosen), training=settled(self.training, chosen))
        return request, () if chosen is None else words_of_fit(chosen)

    def as_config(self) -> dict[str, Any]:
        """The settings as a config file has them: `vaekit fit --config` takes them back."""
        flat = {"source": self.source, "out": str(self.out), "recipe": self.recipe}
        if self.schema is not None:
            flat["schema"] = str(self.schema)
        settings = {key: value for key, value in asdict(self.training).items() if value is not None}
        chosen = RECIPES[self.recipe].resolved(self.model)
        model = {key: list(value) if isinstance(value, tuple) else value for key, value in chosen.items()}
        return {**flat, **settings, **asdict(self.machine), "model": model}


def show_config(request: Request) -> None:
    """Print the resolved settings as TOML."""
    print(tomli_w.dumps(request.as_config()), end="")


def fit_job(request: Request, output: Output) -> None:
    """Train, evaluate, write the run directory, and say where the report is; of several ranks only the first speaks."""
    if request.resume and is_finished(request.out):
        remark(output, f"{request.out} has finished: there is nothing to resume")
        return
    with joining() as world:
        _fit_in(world, request, output if world.leads else replace(output, quiet=True, json=False))


def _fit_in(world: World, request: Request, output: Output) -> None:
    if request.training.samples < 1:
        raise UsageError(f"samples is {request.training.samples}: an estimate of log p(x) needs at least 1")
    data = open_data(request.source, request.training.memory, request.schema)
    request, chosen = request.settled(data.train)
    model, objective = build(request.recipe, form_of(data.train), seed=request.machine.seed, **request.model)
    run = RunDirectory(request.out, request.as_config(), force=request.force, resume=request.resume)
    for line in (*told_of(data.train), *chosen):
        remark(output, line)
    remark(output, f"{request.recipe} on {data.name}: {len(data.train):,} rows, {request.training.epochs} epochs")
    fitted = _train(request, data, model, objective, run, output)
    if not world.leads:
        return
    kind, rows = evaluation_rows(request, data)
    remark(
        output, f"evaluating on {len(rows):,} {kind.replace('_', '-')} rows, {request.training.samples} samples each"
    )
    evaluation = fitted.evaluate(rows, request.training.samples, seed=request.machine.seed)
    from vaekit.report import report  # takes as long to load as some models take to train, and is not always reached

    metrics = metrics_of(fitted, evaluation, kind)
    page = report(fitted, rows, evaluation, settings=request.as_config(), kind=kind.replace("_", "-"))
    run.finish(fitted, metrics, page)
    for caveat in caveats(fitted.about, evaluation):
        remark(output, str(caveat))
    answer(output, metrics, words_of(metrics, kind, request.out))


def _train(
    request: Request, data: Splits | Streamed, model: VAE, objective: Any, run: RunDirectory, output: Output
) -> FittedVAE:
    training, machine = request.training, request.machine
    try:
        return fit(
            model,
            objective,
            data,
            **by_settings(training),
            optimizer=training.optimizer,
            clip=training.clip,
            skip=training.skip,
            ema=training.ema,
            precision=training.precision,
            binarize=training.binarize,
            seed=machine.seed,
            device=machine.device,
            memory=training.memory,
            strategy=training.strategy,
            compile=training.compile,
            verbose=not output.quiet,
            observers=[run],
            checkpoints=run.keeping(training.checkpoint_minutes),
            resume=request.resume,
        )
    except TrainingDiverged:
        if run.is_kept:
            remark(output, f"the model as it last was when all was finite is kept: vaekit evaluate {request.out}")
        raise
    except (KeyboardInterrupt, Terminated):
        if run.is_kept:
            remark(output, f"where it was is kept: go on with vaekit fit --resume {request.out}")
        raise


def evaluation_rows(request: Request, data: Splits | Streamed) -> tuple[str, Dataset]:
    """The rows to evaluate on and what they are: the test rows, else the held-out ones, else the training rows."""
    validation = by_settings(request.training)["validation"]
    if isinstance(data, Streamed):
        return data.evaluated(validation, request.machine.seed)
    if data.test is not None:
        return "test", data.test
    held_out = held_out_rows(data.train, validation, request.machine.seed)
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
    units = f"{found['active_units']} active units"
    return "\n".join(
        [
            f"on {kind.replace('_', '-')} rows, in nats per example: {bound_words(found)}",
            "; ".join(filter(None, (evidence_words(found, density["is_likelihood"]), units))),
            f"the numbers are: {density['words']}",
            f"trained in {train['seconds']:.1f} s, {train['examples_per_second']:,.0f} examples/s, {metrics['device']}",
            f"report: {out / REPORT}",
        ]
    )
