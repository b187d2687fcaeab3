"""What each section shows: the rows, the numbers and the pixels that it says it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from report_cases import Case, bits, greys, rows
from report_pages import Page, pictures, section
from torch import nn

import vaekit
from vaekit.core import VAE, Latent, Parametric
from vaekit.data import Dataset
from vaekit.evaluate import Activity
from vaekit.families import Bernoulli, Normal
from vaekit.model import FittedVAE
from vaekit.priors import standard_normal
from vaekit.report.colours import palette
from vaekit.report.projection import Projection
from vaekit.report.sections.codes import draw_map
from vaekit.report.sections.curves import limits, measures
from vaekit.report.sections.interpolations import partners
from vaekit.report.sections.settings import rows as settings_rows
from vaekit.report.sections.traversals import traversed
from vaekit.report.sections.worst import worst_rows
from vaekit.report.subject import Subject
from vaekit.report.words import number
from vaekit.train import Epoch, Means


def tile(sheet: NDArray[np.uint8], across: int, down: int = 0, side: int = 8) -> NDArray[np.uint8]:
    """The grey values of one of a sheet's tiles, of those that are `side` wide and stand 2 apart."""
    top, left = down * (side + 1), across * (side + 2)
    return sheet[top : top + side, left : left + side, 0]


def as_bytes(image: torch.Tensor) -> NDArray[np.uint8]:
    return image[0].clamp(0, 1).mul(255).round().to(torch.uint8).numpy()


def test_reconstructions_show_originals_above_what_the_model_makes_of_them() -> None:
    (sheet,) = pictures(section(greys().page(), "reconstructions"))
    subject = greys().subject
    chosen = subject.some_by_label(subject.fit.across(740) * 3)
    again = greys().fitted.reconstruct(greys().test.take(chosen))
    for place in range(5):
        assert np.array_equal(tile(sheet, place), greys().test.x[chosen[place], 0].numpy())
        assert np.array_equal(tile(sheet, place, down=1), as_bytes(again[place]))


def test_rows_shown_are_sorted_by_label_and_all_different() -> None:
    chosen = greys().subject.some_by_label(30)
    assert greys().test.y is not None
    labels = greys().test.y[chosen]
    assert (labels.diff() >= 0).all()
    assert len(chosen.unique()) == 30


def test_samples_are_means_of_draws_from_the_prior() -> None:
    (sheet,) = pictures(section(greys().page(seed=5), "samples"))
    columns = greys().subject.fit.across(740)
    drawn = greys().fitted.sample(columns * 6, mean=True, seed=5)
    assert np.array_equal(tile(sheet, 3), as_bytes(drawn[3]))


def test_interpolations_lead_from_one_reconstruction_to_another() -> None:
    strips = pictures(section(greys().page(), "interpolations"))
    subject = greys().subject
    (start, end) = partners(subject.order, greys().test.y, 6)[0]
    path = greys().fitted.interpolate(greys().test.take([int(start)]), greys().test.take([int(end)]), steps=7)[0]
    first, last = greys().test.x[start, 0].numpy(), greys().test.x[end, 0].numpy()
    assert np.array_equal(strips[0][:, :8, 0], first)
    assert np.array_equal(strips[0][:, -8:, 0], last)
    between = strips[0][:, 8 + 6 :]
    for step, image in enumerate(path):
        assert np.array_equal(tile(between, step), as_bytes(image))


def test_partners_have_two_labels_where_there_are_two() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 0, 2])
    pairs = partners(torch.randperm(8), labels, 4)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    assert partners(torch.arange(1), None, 4).tolist() == [[0, 0]]


def test_each_row_of_a_traversal_moves_one_coordinate() -> None:
    """In the middle the coordinate is at the prior's mean; where another's row is there, its own is at the code's."""
    page = section(greys().page(), "traversals")
    activity = greys().evaluation.activity["z"]
    order = traversed(activity)
    shares = activity.variance / activity.variance.sum()
    assert [f"z[{d}]" in Page(page).text for d in order] == [True] * len(order)
    assert f"{100 * float(shares[order[0]]):.0f} %" in Page(page).text
    typical = greys().evaluation.row_scores.argsort()[len(greys().test) // 2]
    code = greys().fitted.encode(greys().test.take([int(typical)]))[0]
    code[order[0]] = 3.0
    expected = as_bytes(greys().fitted.decode(code[None])[0]).astype(int)
    found = tile(pictures(page)[0], greys().subject.fit.steps(680, 11) - 1).astype(int)
    assert abs(found - expected).max() <= 6  # the prior's spread is found from 1000 draws
    code[order[0]] = -3.0
    opposite = as_bytes(greys().fitted.decode(code[None])[0]).astype(int)
    assert abs(opposite - expected).max() > 6


def test_only_active_coordinates_are_traversed_unless_none_is() -> None:
    variance = torch.linspace(0, 0.1, 40)
    assert traversed(Activity(variance)) == list(range(39, 29, -1))
    assert traversed(Activity(torch.tensor([0.001, 0.5, 0.002]))) == [1]
    assert traversed(Activity(torch.tensor([0.001, 0.003, 0.002]))) == [1, 2, 0]


def test_the_worst_rows_are_the_worst() -> None:
    scores = greys().evaluation.evidence.log_evidence
    chosen = worst_rows(greys().evaluation.row_scores, 12)
    others = [row for row in range(len(scores)) if row not in chosen.tolist()]
    assert scores[chosen].max() <= scores[others].min()
    assert (scores[chosen].diff() >= 0).all()


def test_a_row_without_a_score_is_the_worst_of_all() -> None:
    scores = torch.tensor([-5.0, float("nan"), -7.0, -6.0])
    assert worst_rows(scores, 2).tolist() == [1, 2]


def test_the_worst_rows_are_shown_with_their_scores() -> None:
    page = section(greys().page(), "worst")
    chosen = worst_rows(greys().evaluation.row_scores, 12)
    again = greys().fitted.reconstruct(greys().test.take(chosen))
    for place, (row, plate) in enumerate(zip(chosen.tolist(), pictures(page), strict=True)):
        assert np.array_equal(plate[:8, :, 0], greys().test.x[row, 0].numpy())
        assert np.array_equal(plate[10:, :, 0], as_bytes(again[place]))
        score = number(float(greys().evaluation.evidence.log_evidence[row]), 1)
        label = "" if greys().test.y is None else f"label {int(greys().test.y[row])}"
        assert f"{score} {label} row {row}" in Page(page).text


def test_rows_binarised_afresh_are_shown_as_the_evaluation_saw_them() -> None:
    train = Dataset(rows(60, 1, 4, 4), name="greys")
    model, objective = vaekit.build("vae", (1, 4, 4), latent=2, hidden=(8,))
    fitted = vaekit.fit(model, objective, train, max_epochs=1, binarize="dynamic", verbose=False)
    evaluation = fitted.evaluate(train, samples=2000, seed=4)
    shown = Subject.of(fitted, train, evaluation, {}, seed=4).test.x
    again = fitted.log_evidence(shown, samples=2000, seed=9)
    error = (evaluation.evidence.stderr.square() + again.stderr.square()).sqrt()
    assert ((evaluation.evidence.log_evidence - again.log_evidence).abs() < 6 * error).all()


def test_an_evaluation_of_other_rows_is_refused() -> None:
    with pytest.raises(vaekit.UsageError, match="evaluation is of 80 rows, but 10 test rows"):
        Subject.of(greys().fitted, greys().test.head(10), greys().evaluation, {}, seed=0)


def test_the_map_has_each_code_in_the_colour_of_its_label_and_each_label_at_its_median() -> None:
    points, labels, colours = torch.randn(90, 2), torch.arange(90) % 3, palette(3)
    axes = Figure().add_subplot()
    draw_map(Projection(points, ""), labels, colours, ["a", "b", "c"], axes)
    (drawn,) = axes.collections
    np.testing.assert_allclose(drawn.get_offsets(), points, atol=1e-6)
    assert [to_hex(colour) for colour in drawn.get_facecolors()] == [colours[label] for label in labels.tolist()]
    for label, text in enumerate(axes.texts):
        assert text.get_text() == "abc"[label]
        np.testing.assert_allclose(text.get_position(), points[labels == label].median(0).values)


def epochs(values: list[float], weight: float = 1.0) -> tuple[Epoch, ...]:
    means = [Means(value - (weight - 1) * 3.0, value, value + 3.0, {"z": 3.0}) for value in values]
    return tuple(Epoch(at + 1, mean, mean, 1e-3, 1.0, 100) for at, mean in enumerate(means))


def test_curves_follow_the_terms_and_what_was_optimised_only_where_it_differs() -> None:
    plain = measures(epochs([-120.0, -110.0]))
    assert [measure.title for measure in plain] == ["ELBO", "Log-likelihood", "KL of z"]
    assert [measure.of(epochs([-120.0])[0].train) for measure in plain] == [-120.0, -117.0, 3.0]
    weighted = measures(epochs([-120.0], weight=4.0))
    assert weighted[-1].title == "What was optimised"
    assert weighted[-1].of(epochs([-120.0], weight=4.0)[0].train) == -129.0


def test_first_epochs_do_not_squash_the_rest() -> None:
    lines = [[-540.0, -160.0, -110.0, -108.0, -106.5, -106.0], [-300.0, -140.0, -109.0, -107.5, -106.2, -105.9]]
    low, high = limits(lines, [-105.5])
    assert -180 < low < -160
    assert -105.5 < high < -95


def test_lines_that_fit_are_shown_whole() -> None:
    low, high = limits([[1.0, 2.0, 3.0]], [2.5])
    assert low < 1
    assert high > 3


@pytest.mark.parametrize("lines", [[[float("nan")]], [[2.0, 2.0, 2.0]], [[], []], [[5.0]]])
def test_limits_are_a_range_whatever_happened(lines: list[list[float]]) -> None:
    low, high = limits(lines, [])
    assert low < high


def test_a_model_without_history_says_so() -> None:
    fitted = FittedVAE(bits().fitted.model, replace(bits().fitted.about, history=(), training={}))
    page = Case(fitted, bits().test, bits().evaluation).page()
    assert "came without the history" in section(page, "curves")
    assert "<svg" not in section(page, "curves")


def test_settings_are_listed_with_dotted_names() -> None:
    listed = [(row.name, row.value) for row in settings_rows({"fit": {"ema": None, "hidden": (64, 32)}, "seed": 3})]
    assert listed == [("fit.ema", "–"), ("fit.hidden", "64, 32"), ("seed", "3")]


class Beside(nn.Module):
    """A linear map of several inputs together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, outputs)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        mapped: torch.Tensor = self.map(torch.cat(inputs, 1))
        return mapped


@pytest.fixture(scope="module")
def ladder() -> Case:
    """Two latents, of which the likelihood reads the second alone."""
    model = VAE(
        Parametric(nn.Linear(3, 5), Bernoulli(), given="fine"),
        coarse=Latent(standard_normal(2), Parametric(nn.Linear(5, 4), Normal(), given="x")),
        fine=Latent(
            Parametric(nn.Linear(2, 6), Normal(), given="coarse"),
            Parametric(Beside(7, 6), Normal(), given=("x", "coarse")),
        ),
    )
    x = rows(60, 5).round()
    fitted = vaekit.fit(model, vaekit.Elbo(), Dataset(x, name="bits"), max_epochs=2, verbose=False)
    return Case(fitted, Dataset(x), fitted.evaluate(x, samples=5))


def test_several_latents_have_a_curve_each_and_the_first_is_mapped(ladder: Case) -> None:
    page = ladder.page()
    curves = Page(section(page, "curves")).text
    assert all(title in curves for title in ("KL ", "KL of coarse", "KL of fine"))
    assert "posterior over coarse" in section(page, "codes")
    assert "coarse[0]" in section(page, "traversals")
    assert "fine[0]" not in section(page, "traversals")


def test_interpolations_of_several_latents_end_at_the_reconstructions(ladder: Case) -> None:
    pairs = partners(ladder.subject.order, None, 6)
    starts, ends = ladder.subject.test.x[pairs[:, 0]], ladder.subject.test.x[pairs[:, 1]]
    decoded = ladder.fitted.interpolate(starts, ends, steps=4)
    torch.testing.assert_close(decoded[:, 0], ladder.fitted.reconstruct(starts))
    torch.testing.assert_close(decoded[:, -1], ladder.fitted.reconstruct(ends))
