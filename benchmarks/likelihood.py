"""Test log-likelihoods on MNIST and Fashion-MNIST beside published figures.

    python benchmarks/likelihood.py                     # every row, as published: hours on a GPU
    python benchmarks/likelihood.py --rows vae iwae     # some rows
    python benchmarks/likelihood.py --epochs 20 --test 1000 --samples 500   # what a CPU can do in minutes
    python benchmarks/likelihood.py --rows "vae static" --kept              # evaluate anew what was trained before

A published figure is of the data named with its row, binarised once (static) or anew whenever a row is seen (dynamic);
its net need not be ours, which stands in the table. Each row trains a recipe through the public `fit`, on all but the
rows held out of the training set, which choose the epoch whose weights are kept, and evaluates log p(x) by importance
sampling on the test set. The learning rate falls along half a cosine over the run, however long it is, and the weights
are averaged. A run that was cut short says so in its row, and so does one that begins with another row's trained model,
which has to be there. Each row writes its record into benchmarks/results/likelihood/, and benchmarks/results.py makes
the table of benchmarks/RESULTS.md of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import records

import vaekit
from vaekit.data import load_data
from vaekit.model import FittedVAE
from vaekit.objectives import falling
from vaekit.train import OPTIMIZERS, describe

MODELS = Path(__file__).parents[1] / "runs" / "likelihood"
WIDE = {"net": "mlp", "hidden": (200, 200), "activation": "tanh", "latent": 50}
GATED = {"net": "gated", "hidden": (300, 300), "latent": 40}
HELD_OUT = 0.05
FASHION = "/usr/share/datasets/fashion-mnist"


@dataclass(frozen=True)
class Row:
    """A model, how it is trained, and the figure that somebody published for it, if any."""

    name: str
    recipe: str
    published: float | None
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str = "mnist"
    binarize: str = "static"
    epochs: int = 400
    learning_rate: float = 3e-3
    batch_size: int = 128
    samples: int = 5000
    warm_up: int | None = None
    """Updates until the rate is reached, however short the run."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What else `fit` is asked."""
    decay: float = 0.0
    """Of the weights, by AdamW: digits that are binarised once are learned by heart within thirty epochs."""
    begins: str = ""
    """The row whose trained model it begins with: bounds of many draws are dear, and those of few come near."""

    @property
    def file(self) -> str:
        """The name of its record and of its model."""
        return _file(self.name)


def _file(name: str) -> str:
    return name.replace(" ", "_").replace("=", "").replace(",", "")


PYTHAE = "Chadebec, Vincent and Allassonnière, 2022"
EXEMPLAR = "Norouzi et al., 2020, for the Exemplar VAE"
AFTER_FEW: dict[str, Any] = {"epochs": 100, "learning_rate": 1e-3}
AS_BURDA: dict[str, Any] = {"binarize": "dynamic", "learning_rate": 1e-3, "batch_size": 20}
GROUPED: dict[str, Any] = {"binarize": "dynamic", "begins": "iwae-5 dynamic", **AFTER_FEW}
FLOW = {**GATED, "prior": "maf"}
STEADY: dict[str, Any] = {"learning_rate": 2e-3, "training": {"clip": 60.0}}
"""A flow's scales multiply: at 3e-3 and without a clip it went off after fifty epochs. Gradients are about 40 long."""
ROWS = (
    Row("vae static", "vae", 89.78, PYTHAE, GATED),
    Row("vampprior static", "vamp_vae", 85.79, PYTHAE, GATED),
    Row("iwae-5 static", "iwae", None, "", {**GATED, "samples": 5}, decay=0.1),
    Row("iwae-50 static", "iwae", 86.82, PYTHAE, {**GATED, "samples": 50}, begins="iwae-5 static", decay=0.1,
        **AFTER_FEW),
    Row("svae dynamic", "hyperspherical_vae", 93.13, PYTHAE, {"hidden": (256, 128), "latent": 11}, binarize="dynamic",
        batch_size=64),
    Row("iwae-5 dynamic", "iwae", None, "", {**GATED, "samples": 5}, binarize="dynamic"),
    Row("miwae dynamic", "miwae", 85.09, PYTHAE, GATED, **GROUPED),
    Row("piwae dynamic", "piwae", 84.58, PYTHAE, GATED, **GROUPED),
    Row("ciwae dynamic", "ciwae", 84.74, PYTHAE, {**GATED, "samples": 64}, **GROUPED),
    Row("hvae static", "hvae", 83.19, "Tomczak and Welling, 2018", {**GATED, "pseudo_inputs": 500},
        decay=0.1),
    Row("hvae static, no VampPrior", "hvae", 83.19, "Tomczak and Welling, 2018, with a VampPrior", GATED),
    Row("hvae dynamic", "hvae", 81.24, "Tomczak and Welling, 2018", {**GATED, "pseudo_inputs": 500},
        binarize="dynamic"),
    Row("vae K=1 dynamic", "vae", 86.76, "Burda et al., 2016", WIDE, **AS_BURDA),
    Row("iwae K=50 dynamic", "iwae", 84.78, "Burda et al., 2016", {**WIDE, "samples": 50}, **AS_BURDA),
    Row("dreg K=50 dynamic", "dreg", 84.32, "Tucker et al., 2019", {**WIDE, "samples": 50}, **AS_BURDA),
    Row("vampprior dynamic", "vamp_vae", 82.43, "Tomczak and Welling, 2018", GATED, binarize="dynamic"),
    Row("exemplar dynamic", "exemplar_vae", 82.09, "Norouzi et al., 2020", GATED, binarize="dynamic"),
    Row("flow prior dynamic", "flow_prior_vae", 82.09, EXEMPLAR, FLOW, binarize="dynamic", **STEADY),
    Row("flow prior dynamic, iwae-10", "iwae", 82.09, EXEMPLAR, {**FLOW, "samples": 10}, binarize="dynamic",
        begins="flow prior dynamic", **AFTER_FEW, training={"clip": 60.0}),
    Row("flow prior dynamic, iwae-50", "iwae", 82.09, EXEMPLAR, {**FLOW, "samples": 50}, binarize="dynamic",
        begins="flow prior dynamic, iwae-10", **AFTER_FEW, training={"clip": 60.0}),
    Row("flow prior fashion", "flow_prior_vae", 226.75, EXEMPLAR, FLOW, FASHION, "dynamic", **STEADY),
    Row("flow prior fashion, iwae-10", "iwae", 226.75, EXEMPLAR, {**FLOW, "samples": 10}, FASHION, "dynamic",
        begins="flow prior fashion", **AFTER_FEW, training={"clip": 60.0}),
    Row("vampprior fashion", "vamp_vae", 227.35, "Norouzi et al., 2020", GATED, FASHION, "dynamic"),
    Row("exemplar fashion", "exemplar_vae", 226.75, "Norouzi et al., 2020", GATED, FASHION, "dynamic"),
    Row("conv_ladder dynamic", "conv_ladder", 78.01, "Vahdat and Kautz, 2020 (NVAE)", {}, "mnist", "dynamic", 120,
        1e-2, 256, 1000, 500,
        {"optimizer": "adamax", "clip": 5.0, "skip": 5000.0, "ema": 0.998, "precision": "bfloat16"}),
)  # fmt: skip


def run(row: Row, epochs: int, test: int, samples: int, seed: int, device: str, precision: str) -> dict[str, Any]:
    """Train and evaluate one row."""
    data = load_data(row.data)
    assert data.test is not None
    model, objective = vaekit.build(row.recipe, data.train.event_shape, seed=seed, **row.options)
    if row.begins:
        model.load_state_dict(_trained(row.begins).model.state_dict())
    updates = epochs * -(-round(len(data.train) * (1 - HELD_OUT)) // row.batch_size)
    training: dict[str, Any] = {"ema": 0.999, "precision": precision, **row.training}
    if row.decay:
        training["optimizer"] = partial(OPTIMIZERS["adamw"], weight_decay=row.decay)
    training["ema"] = min(training["ema"], 1 - 10 / updates)  # an average over a tenth of the run, at most
    started = time.perf_counter()
    fitted = vaekit.fit(
        model,
        objective,
        data,
        max_epochs=epochs,
        learning_rate=falling(row.learning_rate, updates, row.warm_up),
        batch_size=row.batch_size,
        validation=HELD_OUT,
        patience=epochs,
        binarize=row.binarize,
        seed=seed,
        device=device,
        **training,
    )
    seconds = time.perf_counter() - started
    fitted.save(MODELS / row.file, force=True)
    return {
        **asdict(row),
        "options": dict(row.options),
        "seconds": seconds,
        "device": describe(fitted.device),
        "precision": training["precision"],
        **evaluated(fitted, row, test, samples, seed),
    }


def _trained(name: str, device: str = "cpu") -> FittedVAE:
    """The model that a row left."""
    if not (kept := MODELS / _file(name)).is_dir():
        raise SystemExit(f"no model of {name!r} in {MODELS}: run that row first")
    return vaekit.load_model(kept, device=device)


def evaluated(fitted: FittedVAE, row: Row, test: int, samples: int, seed: int) -> dict[str, Any]:
    """What a trained model's record says of its quality."""
    data = load_data(row.data)
    assert data.test is not None
    evaluation = fitted.evaluate(data.test.head(test), samples, seed=seed)
    assert evaluation.evidence is not None
    epochs = len(fitted.history)
    return {
        "nll": -evaluation.evidence.mean,
        "stderr": evaluation.evidence.mean_stderr,
        "rows_stderr": evaluation.evidence.rows_stderr,
        "elbo": evaluation.terms.elbo,
        "active_units": evaluation.active_units,
        "best_epoch": fitted.about.training["best_epoch"],
        "epochs_run": epochs,
        "test_rows": evaluation.rows,
        "samples_used": samples,
        "cut_short": epochs < row.epochs or samples < row.samples or evaluation.rows < len(data.test),
        "seed": seed,
        "versions": fitted.about.training["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = dict.fromkeys(name for row in ROWS for name in (row.name, row.recipe))
    parser.add_argument("--rows", nargs="*", choices=names, metavar="ROW", help="names, or recipes; all by default")
    parser.add_argument("--epochs", type=int, help="cut every run short")
    parser.add_argument("--batch", type=int, help="rows in a batch: fewer make more updates of a short run")
    parser.add_argument("--test", type=int, default=10_000, help="test rows")
    parser.add_argument("--samples", type=int, help="importance samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--kept", action="store_true", help="evaluate the models that were kept; train none")
    asked = parser.parse_args()
    for row in (replace(each, batch_size=asked.batch or each.batch_size) for each in ROWS):
        if asked.rows and not {row.name, row.recipe} & set(asked.rows):
            continue
        epochs, samples = min(asked.epochs or row.epochs, row.epochs), min(asked.samples or row.samples, row.samples)
        if asked.kept:
            (before,) = records.read(f"likelihood/{row.file}")
            found = {**before, **evaluated(_trained(row.name, asked.device), row, asked.test, samples, asked.seed)}
        else:
            found = run(row, epochs, asked.test, samples, asked.seed, asked.device, asked.precision)
        print(f"{row.name}: NLL {found['nll']:.2f}, published {row.published or 'none'}", flush=True)
        records.write(f"likelihood/{row.file}", found)


def told(*rows: Mapping[str, Any]) -> str:
    """The records as a section of RESULTS.md."""
    cells = [_cells(row) for row in rows]
    return records.section(
        "Likelihood: test NLL in nats, importance-sampled",
        "python benchmarks/likelihood.py --rows ROW --epochs EPOCHS --samples K --precision PRECISION",
        tuple(cells[0]),
        (tuple(each.values()) for each in cells),
    )


def _net(options: Mapping[str, Any]) -> str:
    """The encoder's layers and the code's width, where a row chooses them."""
    if "hidden" not in options:
        return "its own"
    kind = options.get("activation") or options.get("net", "relu")
    return f"{kind} {'-'.join(map(str, options['hidden']))}, z {options['latent']}"


def _cells(row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "row": row["name"],
        "recipe": f"`{row['recipe']}`",
        "net": _net(row["options"]),
        "NLL": f"{row['nll']:.2f} ± {row['stderr']:.2f}",
        "published": f"{row['published']:.2f} ({row['source']})" if row["published"] else "",
        "difference": f"{row['nll'] - row['published']:+.2f}" if row["published"] else "",
        "ELBO": f"{row['elbo']:.2f}",
        "K": row["samples_used"],
        "rows": f"{row['test_rows']:,}",
        "epochs": f"{row['epochs_run']}"
        + (f" of {row['epochs']}: **cut short**" if row["cut_short"] else "")
        + (f"; after `{row['begins']}`" if row.get("begins") else ""),
        "rate, batch": f"{row['learning_rate']:g}, {row['batch_size']}"
        + (f", decay {row['decay']:g}" if row.get("decay") else ""),
        "time": f"{row['seconds'] / 60:.1f} min",
        "on, seed, date": f"{row['device']}, {row['precision']}, {row['seed']}, {row['date']}",
    }


if __name__ == "__main__":
    main()
