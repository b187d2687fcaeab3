"""Labels: they reach the models that read them, in the form in which these read them, and no others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vaekit.common.errors import DataError, UsageError
from vaekit.core import VAE, Batch, Condition
from vaekit.data import Dataset, Encoding, Greys
from vaekit.objectives import Elbo, Enumerate, Objective, Step, Terms
from vaekit.recipes import Recipe, build
from vaekit.train import Resident, Settings, mean_terms, train
from vaekit.train.rows.labels import labels_wanted, numbers_of_a_pass

LABELS = torch.tensor([2, 0, 1, 2, 0, 1, 1])


def rows(y: Tensor | None = LABELS) -> Dataset:
    return Dataset(torch.arange(14.0).reshape(7, 2) / 14, y)


def resident(data: Dataset) -> Resident:
    return Resident(data, Encoding(Greys()), 3, torch.device("cpu"))


def small(name: str) -> Recipe:
    return build(name, (2,), latent=2, labels=3, likelihood="normal")


class Seen(Objective):
    """An objective that keeps what it is given."""

    def __init__(self, inner: Objective) -> None:
        super().__init__()
        self.inner = inner
        self.batches: list[Batch] = []

    def forward(self, model: VAE, batch: Batch, step: Step) -> Terms:
        self.batches.append(batch)
        terms: Terms = self.inner(model, batch, step)
        return terms


def expected(batch: Batch) -> Tensor:
    """The labels of the rows of a batch, found again by their values."""
    return LABELS[(batch.x[:, 0] * 7).round().long()]


@pytest.mark.parametrize(("name", "condition"), [("cvae", "y"), ("ivae", "u")])
def test_a_condition_is_told_the_label_of_each_row(name: str, condition: str) -> None:
    model, objective = small(name)
    seen = Seen(objective)
    train(model, seen, resident(rows()), resident(rows()), Settings(max_epochs=2))
    assert len(seen.batches) == 6
    for batch in seen.batches:
        assert torch.equal(batch.given[condition].argmax(1), expected(batch))
        assert torch.equal(batch.given[condition].sum(1), torch.ones(len(batch.x)))


def test_a_latent_is_told_only_what_is_known_and_only_where_it_is_summed_out() -> None:
    model, objective = small("m2")
    known = torch.where(torch.arange(7) < 4, LABELS, -1)
    seen = Seen(objective)
    train(model, seen, resident(rows(known)), None, Settings(max_epochs=1))
    told = torch.cat([batch.given["y"] for batch in seen.batches])
    order = torch.cat([(batch.x[:, 0] * 7).round().long() for batch in seen.batches])
    assert torch.equal(told.isnan().all(1), known[order] < 0)
    assert torch.equal(told[known[order] >= 0].argmax(1), known[order][known[order] >= 0])
    drawn = Seen(Elbo())
    mean_terms(model, drawn, resident(rows()))
    assert all("y" not in batch.given for batch in drawn.batches)


def test_what_is_learnt_of_labels_is_what_they_are() -> None:
    """M2 on two clusters, two rows labelled: its classifier tells the rest."""
    x = torch.cat([torch.randn(60, 2) * 0.3 - 2, torch.randn(60, 2) * 0.3 + 2])
    truth = torch.arange(120) // 60
    known = torch.full((120,), -1)
    known[[0, 60]] = torch.tensor([1, 0])
    model, objective = build("m2", (2,), latent=2, labels=2, likelihood="normal", hidden=(16,))
    data = Resident(Dataset(x, known), Encoding(Greys()), 60, torch.device("cpu"))
    trained = train(model, objective, data, None, Settings(max_epochs=60, learning_rate=1e-2))
    with torch.no_grad():
        belief = trained.model.posterior(x)["y"].distribution.mean[0].argmax(1)
    assert float((belief == 1 - truth).float().mean()) > 0.95


def test_other_models_are_told_nothing() -> None:
    for name in ("vae", "gm_vae"):
        model, objective = build(name, (2,), latent=2, likelihood="normal")
        seen = Seen(objective)
        train(model, seen, resident(rows()), None, Settings(max_epochs=1))
        assert all(set(batch.given) <= {"row"} for batch in seen.batches)


def test_of_several_conditions_labels_are_the_one_called_y() -> None:
    model = build("vae", (2,)).model
    parts = dict(model.parts.items())
    two = VAE(model.likelihood, **parts, u=Condition((4,)), y=Condition((3,)))  # type: ignore[arg-type]
    assert {name: how.classes for name, how in labels_wanted(two, Elbo()).items()} == {"y": 3}
    assert labels_wanted(model, Enumerate("y", Elbo())) == {}


@pytest.mark.parametrize(
    ("name", "y", "words"),
    [
        ("cvae", None, "reads labels, as 'y', and the rows have none"),
        ("cvae", torch.tensor([0, 1, 2, 3, 0, 1, 2]), "row 3 of y holds 3, but the labels of 'y' go from 0 to 2"),
        ("cvae", torch.tensor([0, 1, -1, 2, 0, 1, 2]), "row 2 of y holds -1, .* go from 0 to 2"),
        ("m2", torch.tensor([0, 1, -1, 2, 0, -2, 2]), "row 5 of y holds -2, .* go from -1 to 2"),
        ("m2", torch.tensor([0, 1, -1, 2, 0, 1, 7]), "row 6 of y holds 7.*labels=8"),
    ],
)
def test_labels_that_a_model_cannot_read_are_refused(name: str, y: Tensor | None, words: str) -> None:
    model, objective = small(name)
    with pytest.raises(DataError, match=words):
        train(model, objective, resident(rows(y)), None, Settings(max_epochs=1))


def test_a_pass_comes_to_few_labelled_rows_often_and_to_every_row() -> None:
    y = torch.full((1000,), -1)
    y[[3, 500, 900]] = torch.tensor([1, 0, 2])
    numbers = numbers_of_a_pass(y)
    counts = torch.bincount(numbers, minlength=1000)
    told = y >= 0
    assert bool((counts[~told] == 1).all())
    assert len(set(counts[told].tolist())) == 1
    assert 0.2 <= float(counts[told].sum()) / len(numbers) < 0.202
    for whole in (torch.full((5,), -1), torch.tensor([0, 1, -1, -1, 1])):
        assert torch.equal(numbers_of_a_pass(whole), torch.arange(5))


def test_training_meets_them_and_evaluation_every_row_once() -> None:
    known = torch.full((7,), -1)
    known[2] = 1
    source = resident(rows(known)).labelled(labels_wanted(*small("m2")))
    assert source.examples == 8
    assert len(source) == 3
    for seed in range(3):
        met = torch.cat([batch.given["row"] for batch in source.shuffled(seed)])
        assert sorted(met.tolist()) == [0, 1, 2, 2, 3, 4, 5, 6]
    assert torch.equal(torch.cat([batch.x for batch in source.in_order()]), rows().x)


def test_without_labels_m2_learns_by_itself() -> None:
    model, objective = small("m2")
    trained = train(model, objective, resident(rows(None)), None, Settings(max_epochs=1))
    assert trained.history[0].train.value < 0


def test_an_objective_is_checked_against_the_model_before_the_first_step() -> None:
    model, _ = build("vae", (2,), latent=2, likelihood="normal")
    with pytest.raises(UsageError, match=r"Enumerate\('y'\)"):
        train(model, Enumerate("y", Elbo()), resident(rows()), None, Settings(max_epochs=1))


@pytest.mark.parametrize("shape", [(), (0,), (3, -1)])
def test_a_condition_without_a_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="tells nothing"):
        Condition(shape)


def test_a_condition_of_another_shape_is_refused_with_both() -> None:
    model, _ = small("cvae")
    with pytest.raises(UsageError, match=r"'y' has the shape \(4,\), but the model reads \(3,\)"):
        model.trace(torch.zeros(2, 2), given={"y": torch.zeros(2, 4)})
    with pytest.raises(UsageError, match=r"\(5,\), but the model reads \(3,\)"):
        model.sample(2, given={"y": torch.zeros(2, 5)})
    assert model.conditions == {"y"}
