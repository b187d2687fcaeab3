"""Every recipe writes its process and its objective, from the model it builds; so does every part of a registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit import VAE, Elbo, Latent, Parametric
from vaekit.cli.app import app
from vaekit.cli.catalogue import recipe_job
from vaekit.cli.launch import launch
from vaekit.cli.options import Output
from vaekit.cli.speak import table
from vaekit.core import Conditional, Context, Deterministic, Family
from vaekit.core.notation import Formulated, Written, formula_of
from vaekit.core.process import Process
from vaekit.families import LIKELIHOODS, POSTERIORS, Bernoulli, Known, Learned
from vaekit.families import Normal as NormalFamily
from vaekit.flows import Flow, maf
from vaekit.objectives import OBJECTIVES, Capacity, Linear, Objective
from vaekit.priors import PRIORS, VampPrior, standard_normal
from vaekit.recipes import RECIPES, build
from vaekit.recipes.description import Description

EVENT = (1, 28, 28)
every_recipe = pytest.mark.parametrize("name", RECIPES)


def words(text: str) -> set[str]:
    """The names that a formula holds, as whole words."""
    return set(re.findall(r"[^\W_]+", text))


def about(name: str, statements: list[str]) -> str:
    """The statement whose head is about the value of this name, and those it rests on right before it."""
    heads = [re.split(r" [~=∝] ", statement)[0] for statement in statements]
    found = [index for index, head in enumerate(heads) if re.sub(r"^[pq]\(|[ |)].*$", "", head) == name]
    assert len(found) == 1, (name, statements)
    return " ".join(statements[max(0, found[0] - 1) : found[0] + 1])


@every_recipe
def test_a_recipe_names_each_latent_and_each_node_it_reads(name: str) -> None:
    described = Description.of(RECIPES[name], EVENT)
    model, process = build(name, EVENT).model, described.process
    generative, inference = ([str(line) for line in side] for side in (process.generative, process.inference))
    for latent, part in model.latents():
        assert set(part.prior.given) <= words(about(latent, generative))
        assert set(part.posterior.given) <= words(about(latent, inference))
    for node, part in model.parts.items():
        if isinstance(part, Deterministic):
            side = generative if node in model.generative_order else inference
            assert set(part.given) <= words(about(node, side))
    assert set(model.likelihood.given) <= words(about("x", generative))
    made = [line for line in generative if not line.startswith("missing | x")]  # what is missing may hang on the data
    assert not any(re.search(r"\bx\b", line.split(" ~ ")[-1]) for line in made)  # no data to generate from
    assert set(process.given) == set(model.conditions)


@every_recipe
def test_its_symbols_have_the_shapes_that_the_model_draws(name: str) -> None:
    model, _ = build(name, EVENT)
    shapes = {symbol.name: symbol.shape for symbol in Process.of(model).symbols}
    given = {key: torch.zeros(2, *condition.event_shape) for key, condition in model.declared.items()}
    with torch.no_grad():
        context = model.eval().sample(2, given).context
    assert shapes["x"] == EVENT
    for key, value in context.items():
        assert shapes[key] == tuple(value.shape[2:]), key


@every_recipe
def test_a_recipe_is_shown_in_words_and_in_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe_job(name, Output())
    shown = capsys.readouterr().out
    recipe_job(name, Output(json=True))
    record = json.loads(capsys.readouterr().out)
    assert record["latents"]
    for line in (*record["generative"], *record["inference"], *record["objective"]):
        assert re.sub(r"\s+", "", line) in re.sub(r"\s+", "", shown), line
    for option in RECIPES[name].options:
        assert f"--model.{option}" in shown
    weights = sum(part["weights"] for part in record["parts"])
    model, objective = build(name, EVENT)
    assert weights == sum(weight.numel() for part in (model, objective) for weight in part.parameters())


def test_what_the_classics_write_is_what_the_papers_do() -> None:
    def lines(name: str) -> list[str]:
        process = Description.of(RECIPES[name], EVENT).process
        return [str(line) for line in (*process.generative, *process.inference)]

    assert lines("vae") == ["z ~ N(0, I)", "x | z ~ Bernoulli(π(z))", "z | x ~ N(μ(x), diag σ(x)²)"]
    assert lines("sigma_vae")[1] == "x | z ~ N(μ(z), σ² I)"
    assert lines("vamp_vae")[0] == "p(z) = 1/500 Σₖ q(z | uₖ)"
    assert lines("flow_prior_vae")[:2] == ["e ~ N(0, I)", "z = f(e)"]
    assert lines("cvae") == ["z ~ N(0, I)", "x | z, y ~ Bernoulli(π(z, y))", "z | x, y ~ N(μ(x, y), diag σ(x, y)²)"]
    assert lines("hvae")[1] == "z1 | z2 ~ N(μ(z2), diag σ(z2)²)"
    assert lines("ladder_vae")[-1] == "q(z1 | d1, z2) ∝ N(μ(d1), diag σ(d1)²) · p(z1 | z2)"
    assert lines("vade")[0] == "z ~ Σₖ wₖ N(μ(k), diag σ(k)²)"


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("vae", {}, "L = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))"),
        ("beta_vae", {"beta": 2.5}, "L = E_q[log p(x | z)] − 2.5 KL(q(z | x) ‖ p(z))"),
        ("ae", {}, "L = E_q[log p(x | z)]"),
        ("annealed_vae", {}, "L = E_q[log p(x | z)] − β KL(q(z | x) ‖ p(z))"),
        ("iwae", {"samples": 7}, "L = E_q[log(1/7 Σₖ wₖ)]"),
        ("miwae", {"samples": 3, "groups": 5}, "L = 1/5 Σₘ E_q[log(1/3 Σₖ wₖ)]"),
        ("stl", {}, "L = E_q[log wₖ]"),
        ("beta_tcvae", {"beta": 3.0}, "L = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)) − 2 TC(q(z))"),
        ("gm_vae", {}, "L = Σ_c q(c | x) L(x, c) + H(q(c | x))"),
    ],
)
def test_an_objective_is_written_with_its_own_numbers(name: str, options: dict[str, float], line: str) -> None:
    assert str(Description.of(RECIPES[name], EVENT, **options).objective[-1]) == line


def test_a_schedule_is_explained() -> None:
    formula = formula_of(Capacity(Linear(0.0, 25.0, 1000), gamma=10.0), "L")
    assert formula.body == "E_q[log p(x | z)] − 10 |KL(q(z | x) ‖ p(z)) − C|"
    assert formula.symbols[0].meaning == "target of the rate in nats: 0 to 25 in 1,000 steps"


@pytest.mark.parametrize("registry", [LIKELIHOODS, POSTERIORS])
def test_every_family_says_how_it_is_written(registry: object) -> None:
    for name, make in registry.items():  # type: ignore[attr-defined]
        family: Family = make(Size((4,)))
        assert isinstance(family, Written), name
        assert "h" in words(family.written("h")), name
        assert "()" not in family.written(""), name


def test_a_scale_is_written_by_where_it_comes_from() -> None:
    assert NormalFamily(Known(0.1)).written("z") == "N(μ(z), 0.1² I)"
    assert NormalFamily(Learned()).written("z") == "N(μ(z), σ² I)"
    assert NormalFamily(Learned((3,))).written("z") == "N(μ(z), diag σ²)"
    assert NormalFamily().written("z") == "N(μ(z), diag σ(z)²)"


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_says_how_it_draws(name: str) -> None:
    prior = PRIORS[name](Size((4,)))
    assert isinstance(prior, Formulated)
    assert "z" in words(prior.formula("z").head)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_is(name: str) -> None:
    objective: Objective = OBJECTIVES[name]()
    assert isinstance(objective, Formulated)
    assert type(objective).__name__ not in objective.formula("L").body


class Exact(Conditional):
    """A conditional that writes no formula."""

    given = ("x",)

    def forward(self, context: Context) -> Distribution:
        return Independent(Normal(context["x"][..., :2], torch.ones(())), 1)


def test_a_part_that_writes_no_formula_goes_by_its_class() -> None:
    model = VAE(Parametric(nn.Linear(2, 4), Bernoulli(), "z"), z=Latent(standard_normal(2), Exact()))
    assert [str(line) for line in Process.of(model).inference] == ["z | x ~ Exact(x)"]


def test_a_vampprior_of_a_conditional_encoder_names_the_condition() -> None:
    encoder = Parametric(Both(), NormalFamily(), ("x", "y"))
    prior = VampPrior(encoder, torch.rand(5, 4))
    assert str(prior.formula("z")) == "p(z | y) = 1/5 Σₖ q(z | uₖ, y)"


def test_a_flow_over_a_flow_keeps_their_noises_apart() -> None:
    formula = Flow(Flow(standard_normal(2), maf(2)), maf(2)).formula("z")
    assert [str(line) for line in formula.statements] == ["e′ ~ N(0, I)", "e = f(e′)", "z = f(e)"]


class Both(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], 1)


def test_to_describe_a_model_changes_nothing_in_it() -> None:
    model, _ = build("vq_vae", (1, 8, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    Process.of(model)
    assert torch.equal(torch.rand(3), expected)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_conditions_that_are_not_declared_can_be_given() -> None:
    decoder = Parametric(Both(), Bernoulli(), ("z", "c"))
    model = VAE(decoder, z=Latent(standard_normal(2), Parametric(nn.Linear(4, 4), NormalFamily(), "x")))
    process = Process.of(model, given={"c": torch.zeros(1, 2)})
    assert process.given == ("c",)
    assert str(process.generative[-1]) == "x | z, c ~ Bernoulli(π(z, c))"


def test_the_list_is_one_line_a_recipe_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(app, ["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(line.endswith(str(RECIPES[line.split()[0]].year)) for line in lines)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_list_fits_the_terminal_and_breaks_between_words(width: int) -> None:
    rows = [(entry.name, entry.summary, f"{entry.paper}, {entry.year}") for entry in RECIPES.values()]
    lines = [line.plain for line in table(("recipe", "what it is", "paper"), rows).shown(width)]
    assert max(map(len, lines)) <= width
    started = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert started == (["recipe"] * (width == 200) + list(RECIPES))
    said = " ".join(" ".join(lines).split())
    for name, summary, paper in rows:
        assert f"{name} {summary} {paper}" in said


def test_the_docs_show_every_recipe() -> None:
    """The page is written when the docs are built, from the registry: it cannot be out of date."""
    docs = Path(__file__).parent.parent / "docs"
    assert "<!-- every recipe -->" in (docs / "recipes.md").read_text(encoding="utf-8")
    assert "recipes.md" in (docs / "index.md").read_text(encoding="utf-8")
    page = Description.of(RECIPES["cvae"], EVENT).markdown()
    assert "## `cvae`" in page
    assert "x | z, y ~ Bernoulli(π(z, y))" in page
    assert "| y | known beside x | 10 |" in page
    assert "p(x, zₖ) / q(zₖ \\| x)" in Description.of(RECIPES["iwae"], EVENT).markdown()
    assert "| `labels` | how many classes there are | 10 |" in page
    assert isinstance(Elbo(), Formulated)
