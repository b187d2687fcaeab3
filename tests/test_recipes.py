"""Every recipe of the registry: it builds, it learns, it is saved, and it says what it is."""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Size, Tensor

from vaekit.common.errors import UsageError
from vaekit.common.seeds import seeded
from vaekit.core import Batch, Explains
from vaekit.data import Dataset, Encoding, Greys
from vaekit.fitting import fit
from vaekit.model import load_model
from vaekit.objectives import Step
from vaekit.recipes import RECIPES, Architecture, Parts, Recipe, build
from vaekit.recipes.registry import Entry
from vaekit.train import Resident, mean_terms
from vaekit.train.rows.labels import labels_wanted
from vaekit.train.steps.players import differentiate, players_of

EVENT = (1, 8, 8)
LATE = 1_000_000
every_recipe = pytest.mark.parametrize("name", RECIPES)


def squares(n: int) -> Dataset:
    """Bright squares at one of four places, as bits; the label is the place."""
    x, places = torch.zeros(n, *EVENT), torch.randint(4, (n,))
    for image, place in zip(x, places, strict=True):
        row, column = 4 * (int(place) // 2), 4 * (int(place) % 2)
        image[:, row : row + 4, column : column + 4] = 1.0
    return Dataset(x, places)


def resident(recipe: Recipe, rows: Dataset, batch_size: int = 64) -> Resident:
    """Rows with their labels, where the recipe reads them."""
    data = Resident(rows, Encoding(Greys()), batch_size, torch.device("cpu"))
    return data.labelled(labels_wanted(recipe.model, recipe.objective))


def batch_of(recipe: Recipe, n: int) -> Batch:
    return next(iter(resident(recipe, squares(n)).in_order()))


def small(name: str, seed: int = 0) -> Recipe:
    """The recipe with few latents, where it has that setting to choose."""
    return build(name, EVENT, latent=4, seed=seed)


def weights(recipe: Recipe) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in recipe.model.parameters()])


@every_recipe
def test_a_recipe_is_a_model_that_explains_and_generates(name: str) -> None:
    recipe = small(name)
    model, objective = recipe
    batch = batch_of(recipe, 5)
    with torch.no_grad():
        trace = model.eval().trace(batch.x, 3, batch.given)
        assert trace.log_weight.expand(3, 5).isfinite().all()
    assert tuple(trace.likelihood.event_shape) == EVENT
    given = {name: value for name, value in batch.given.items() if name in model.conditions}
    generation = model.sample(5, given)
    assert generation.draw().shape == (5, *EVENT)
    assert isinstance(model.likelihood, Explains)
    assert model.likelihood.support.check(generation.draw()).all()
    terms = objective(model, batch, Step.first())
    assert terms.value.shape == (5,)
    assert {*terms.kl, *terms.points} == {latent for latent, _ in model.latents()}


@every_recipe
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    """Of the model and of the objective; a few steps in, where what starts at zero is awake."""
    recipe = small(name)
    players = players_of(recipe.model, recipe.objective, lambda weights: torch.optim.Adam(weights, lr=1e-2))
    for _ in range(6):
        differentiate(players, recipe.objective(recipe.model, batch_of(recipe, 8), Step(torch.tensor(LATE))))
        for player in players:
            player.optimizer.step()
    for parameter_name, parameter in torch.nn.ModuleList(recipe).named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert (parameter.grad != 0).any(), parameter_name


@every_recipe
def test_a_recipe_learns_and_is_saved(name: str, tmp_path: Path) -> None:
    recipe, rows = small(name), squares(128)
    fitted = fit(recipe.model, recipe.objective, rows, max_epochs=3, batch_size=32, learning_rate=3e-3, verbose=False)
    untrained = small(name)
    with torch.no_grad(), seeded(1):
        before = mean_terms(untrained.model, untrained.objective, resident(untrained, rows))
    with torch.no_grad(), seeded(1):
        after = mean_terms(fitted.model, recipe.objective, resident(recipe, rows))
    if recipe.objective.rivals():  # what a rival says of a model changes as the rival learns
        assert math.isfinite(after.value)
    else:
        assert after.value > before.value
    loaded = load_model(fitted.save(tmp_path / "model"), device="cpu")
    for weight, value in fitted.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[weight], value), weight


@every_recipe
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    assert torch.equal(weights(small(name, seed=1)), weights(small(name, seed=1)))
    assert not torch.equal(weights(small(name, seed=1)), weights(small(name, seed=2)))


@every_recipe
def test_a_recipe_says_what_it_is(name: str) -> None:
    entry = RECIPES[name]
    assert entry.name == name
    assert entry.summary[0].islower() or entry.summary[0].isupper()
    assert entry.paper
    assert 1980 < entry.year < 2030
    assert inspect.getdoc(entry.compose)


@every_recipe
def test_its_options_are_the_defaults_it_is_built_with(name: str) -> None:
    """Building with every option given explicitly is building with none given."""
    entry = RECIPES[name]
    given = entry.resolved({})
    explicit, implied = build(name, EVENT, **given), build(name, EVENT)
    assert torch.equal(weights(explicit), weights(implied))
    assert str(explicit.objective) == str(implied.objective)


@every_recipe
def test_every_setting_of_its_own_has_a_meaning(name: str) -> None:
    assert list(RECIPES[name].meanings) == list(RECIPES[name].own_options)


@every_recipe
def test_it_remembers_how_it_was_built(name: str) -> None:
    blueprint: Any = small(name).model.blueprint
    assert (blueprint.recipe, blueprint.form.event_shape) == (name, EVENT)
    assert torch.equal(weights(blueprint.build()), weights(small(name)))


@every_recipe
def test_a_latent_of_size_0_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="latent is 0"):
        build(name, EVENT, latent=0)


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'veta_vae': did you mean 'beta_vae'"):
        build("veta_vae", EVENT)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"latnt": 3}, "'latnt': did you mean 'latent'"),
        ({"latent": 2.5}, "setting 'latent' is 2.5: it must be a whole number"),
        ({"latent": "many"}, "setting 'latent' is 'many': it must be a number"),
        ({"latent": None}, "setting 'latent' is None"),
        ({"hidden": "10,x"}, "setting 'hidden'"),
        ({"hidden": (0,)}, "at least 1"),
        ({"net": "mpl"}, "unknown net 'mpl': did you mean 'mlp'"),
        ({"net": 3}, "setting 'net' is 3: it must be a word"),
        ({"likelihood": "bernouli"}, "did you mean 'bernoulli'"),
        ({"posterior": "norml"}, "did you mean 'normal'"),
        ({"prior": "standard_norml"}, "did you mean 'standard_normal'"),
        ({"activation": "reLu"}, "did you mean 'relu'"),
        ({"beta": -1.0}, "beta is -1"),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        build("beta_vae", EVENT, **options)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (-1,)])
def test_an_empty_event_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="at least"):
        build("vae", shape)


def test_settings_may_come_as_words() -> None:
    """As from a command line or a config file."""
    as_words = build("beta_vae", (6,), latent="3", hidden="8,4", beta="2.5")
    as_numbers = build("beta_vae", (6,), latent=3, hidden=(8, 4), beta=2.5)
    assert torch.equal(weights(as_words), weights(as_numbers))
    assert str(as_words.objective) == str(as_numbers.objective)


def test_a_recipe_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        RECIPES.add("vae", RECIPES["vae"])


def test_what_a_recipe_sets_apart_from_the_defaults_is_among_its_options() -> None:
    entry = Entry("mine", "my own", "me", 2024, lambda parts: None, {"latent": 7})  # type: ignore[arg-type,return-value]
    assert entry.options["latent"] == 7
    assert entry.options["net"] == Architecture().net
    assert Parts(Size((6,)), Architecture(latent=7)).latent_shape == (7,)


@pytest.mark.parametrize("given", [True, "true", "True"])
def test_a_setting_of_yes_or_no_is_read_from_words(given: object) -> None:
    """With hard draws the value of a Gumbel-softmax is that of discrete ones, while it learns too."""
    hard, soft = (build("gumbel_vae", EVENT, groups=3, levels=4, hard=each).model for each in (given, "false"))
    x = torch.rand(5, *EVENT).round()
    for model, discrete in ((hard, True), (soft, False)):
        drawn = model.train().trace(x).context["z"]
        assert bool(((drawn == 0) | (drawn == 1)).all()) is discrete
    with pytest.raises(UsageError, match="setting 'hard' is 'perhaps': it must be true or false"):
        build("gumbel_vae", EVENT, hard="perhaps")
