"""The page as a whole: complete, self-contained, safe, honest, the same for the same seed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from report_cases import Case, bits, colours, greys, table
from report_pages import Page, section

import vaekit
from vaekit.data import Dataset
from vaekit.model import FittedVAE
from vaekit.report import write_report
from vaekit.report.charts import ACCENT, chart
from vaekit.report.page import SECTIONS
from vaekit.report.words import number

KEYS = ["curves", "reconstructions", "samples", "interpolations", "traversals", "codes", "worst", "settings"]


@pytest.fixture(params=[greys, bits, table, colours], ids=lambda make: str(make.__name__))
def kind(request: pytest.FixtureRequest) -> Case:
    """Each kind of data in turn."""
    made: Case = request.param()
    return made


def test_every_section_is_there_with_a_figure(kind: Case) -> None:
    html = kind.page()
    assert [attributes["id"] for attributes in Page(html).all("section")] == KEYS
    for key in KEYS:
        assert re.search(r"<(svg|img|table)\b", section(html, key)), key
    assert [attributes["href"] for attributes in Page(html).all("a")] == [f"#{key}" for key in KEYS]


def test_nothing_is_loaded_and_nothing_is_run(kind: Case) -> None:
    html = kind.page()
    page = Page(html)
    assert not re.search(r"https?:", html)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href"}:
                assert value.startswith(("#", "data:image/png;base64,"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", html))
    assert "@import" not in html


def test_references_within_the_page_have_their_targets(kind: Case) -> None:
    html = kind.page()
    anchors = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= anchors
    assert set(re.findall(r'href="#([^"]+)"', html)) <= anchors


def test_the_page_is_the_same_for_the_same_seed() -> None:
    assert greys().page(seed=3) == greys().page(seed=3)
    assert greys().page(seed=3) != greys().page(seed=4)


def test_global_state_is_left_alone() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        state, settings = torch.get_rng_state(), dict(mpl.rcParams)
        greys().page()
        assert torch.equal(torch.get_rng_state(), state)
        assert dict(mpl.rcParams) == settings


EVIL = "</style><script>alert('x')</script><b>&\""


def test_strings_from_data_and_settings_are_escaped() -> None:
    about = replace(
        bits().fitted.about, data=EVIL, training={**bits().fitted.about.training, "device": EVIL, EVIL: EVIL}
    )
    test = Dataset(bits().test.x, name=EVIL)
    case = Case(FittedVAE(bits().fitted.model, about), test, bits().evaluation)
    html = case.page(settings={EVIL: {"file": EVIL}})
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert "<b>" not in html
    text = Page(html).text
    assert text.count(EVIL) >= 6


def test_latents_are_escaped_and_not_read_as_mathematics() -> None:
    from torch import nn

    from vaekit.core import VAE, Latent, Parametric
    from vaekit.families import Bernoulli, Normal
    from vaekit.priors import standard_normal

    name = "$\\frac$<script>"
    encoder = Parametric(nn.Linear(4, 4), Normal(), given="x")
    model = VAE(Parametric(nn.Linear(2, 4), Bernoulli(), given=name), **{name: Latent(standard_normal(2), encoder)})
    x = torch.rand(20, 4).round()
    fitted = vaekit.fit(model, vaekit.Elbo(), Dataset(x), max_epochs=1, verbose=False)
    html = Case(fitted, Dataset(x), fitted.evaluate(x, samples=2)).page()
    assert "<script" not in html
    assert f"KL of {name}" in Page(html).text


def test_the_opening_states_the_numbers() -> None:
    text = Page(bits().page()).text
    evaluation = bits().evaluation
    weights = sum(weight.numel() for weight in bits().fitted.model.parameters())
    for value in (evaluation.terms.elbo, evaluation.terms.log_likelihood, evaluation.terms.total_kl):
        assert number(value) in text
    assert f"log p(x) {number(evaluation.evidence.mean)} ± " in text
    assert "K = 8 draws per image" in text
    assert f"Active units {evaluation.active_units} of 3" in text
    assert f"Weights {weights:,}" in text
    assert "trained on 80 images of toy data, 6 × 6 pixels, for 2 epochs" in text


def test_what_is_no_likelihood_is_said_to_be_none() -> None:
    text = Page(greys().page()).text
    assert "These numbers are not a likelihood." in text
    assert "Bernoulli cross-entropy of grey values in [0, 1]" in text
    denied = ["so log p(x) has no meaning here", "so not log p(x)"]
    assert text.count("log p(x)") == sum(text.count(words) for words in denied)


def test_a_likelihood_is_called_by_its_name() -> None:
    text = Page(bits().page()).text
    assert "not a likelihood" not in text
    assert "log p(x)" in section(bits().page(), "worst")


def test_a_map_names_up_to_ten_labels() -> None:
    assert len(re.findall('class="swatch"', greys().page())) == 4
    assert 'class="swatch"' not in colours().page()
    assert 'class="swatch"' not in bits().page()
    assert "coloured by its label" in section(greys().page(), "codes")
    assert "label" not in section(bits().page(), "codes").replace("aria-label", "")


def test_what_was_optimised_is_drawn_apart_from_the_elbo() -> None:
    assert "What was optimised" in table().page()
    assert "What was optimised" not in bits().page()


@pytest.mark.parametrize("n", [1, 2])
def test_a_handful_of_rows_is_enough(n: int) -> None:
    test = greys().test.head(n)
    html = Case(greys().fitted, test, greys().fitted.evaluate(test, samples=1)).page()
    assert [attributes["id"] for attributes in Page(html).all("section")] == KEYS
    assert "±" not in html
    assert not re.search(r"\bnan\b", Page(html).text)


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    html = bits().page()
    write_report(tmp_path / "report.html", html)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(vaekit.DataError, match="missing"):
        write_report(tmp_path / "missing" / "report.html", "")


def test_a_chart_takes_its_colours_and_fonts_from_the_page() -> None:
    drawn = chart(lambda axes: axes.plot([1, 2], color=ACCENT), 320, 200, "a <line>")
    assert "var(--accent)" in drawn
    assert "#0a000" not in drawn
    assert "font-family" not in drawn
    assert "<style" not in drawn
    assert 'aria-label="a &lt;line&gt;"' in drawn


def test_every_variable_of_a_chart_is_set_by_the_style_sheet() -> None:
    html = greys().page()
    light, dark = (set(re.findall(r"(--\w+):", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL))
    assert set(re.findall(r"var\((--\w+)\)", html)) <= light
    assert light == dark


def test_the_page_of_ten_thousand_digits_stays_small() -> None:
    """A page grows with its pictures, not with the rows: 5,000 points of the map are one picture."""
    x = (torch.rand(10_000, 1, 28, 28) * 255).to(torch.uint8)
    model, objective = vaekit.build("vae", (1, 28, 28), latent=20, hidden=(16,))
    fitted = vaekit.fit(model, objective, x[:200], max_epochs=1, verbose=False)
    test = Dataset(x, torch.arange(10_000) % 10)
    assert len(Case(fitted, test, fitted.evaluate(test, samples=1)).page()) < 1_500_000


def test_sections_say_what_one_sees() -> None:
    for make in SECTIONS:
        made = make(greys().subject)
        assert made.title
        assert made.explanation.endswith(".")
        assert not made.trouble or made.trouble.endswith(".")
