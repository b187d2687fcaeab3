"""The house: which package may import which, what an import loads, and that everything public says what it is."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import Size

import vaekit
from vaekit.common.registry import Registry

SOURCE = Path(vaekit.__file__).parent
GUIDE = Path(__file__).parent.parent / "CONTRIBUTING.md"

ORDER = [
    *("common", "core", "families", "nets", "flows", "priors", "objectives", "recipes", "data", "train", "evaluate"),
    *(
        "about",
        "card",
        "caveats",
        "store",
        "uses",
        "model",
        "scoring",
        "misfit",
        "fitting",
        "defaults",
        "tabular",
        "many",
        "estimators",
    ),
    *("report", "cli", "__main__"),
]
"""From the foundation up: a part may import those before it in this list, and itself."""

MODULES = sorted(info.name for info in pkgutil.walk_packages([str(SOURCE)], "vaekit."))


def part(module: str) -> str:
    """The part of the house that a module is in: `vaekit.core.vae` is in `core`."""
    return module.split(".")[1]


def imports(module: str) -> Iterator[str]:
    """The modules of the house that a module imports anywhere in its text, those of vaekit itself left out."""
    for node in ast.walk(ast.parse(_text(module))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively, in line {node.lineno}"
            base = node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names if base.startswith("vaekit"))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("vaekit."))


def _text(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def test_every_part_of_the_house_has_its_place() -> None:
    assert {part(module) for module in MODULES} <= set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    below = {*ORDER[: ORDER.index(part(module)) + 1], "__version__"}
    wrong = [name for name in imports(module) if part(name) not in below]
    assert not wrong, f"{module} imports {wrong}, which do not lie below {part(module)}"


def test_the_root_imports_no_part_of_the_house_until_it_is_asked() -> None:
    nothing_heavy("import vaekit")


def test_the_command_line_loads_without_torch() -> None:
    nothing_heavy("import vaekit.cli.app")


def test_its_help_is_printed_without_torch() -> None:
    nothing_heavy(
        "from vaekit.cli.app import main",
        "sys.argv = ['vaekit', 'fit', '--help']",
        "try: main()",
        "except SystemExit as end: assert not end.code",
    )


def nothing_heavy(*statements: str) -> None:
    """Run statements in a fresh interpreter, and look for what they should not have loaded."""
    heavy = ["torch", "numpy", "matplotlib", "zuko", "jinja2"]
    lines = ["import sys", *statements, f"print('loaded:', *[name for name in {heavy} if name in sys.modules])"]
    assert fresh("\n".join(lines)).splitlines()[-1].strip() == "loaded:"


def fresh(program: str) -> str:
    """What a program prints in an interpreter of its own; it must end well."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def public_names() -> Iterator[tuple[str, str]]:
    """Each class and function that a package offers in its `__all__`."""
    for name in ("vaekit", *MODULES):
        module = importlib.import_module(name)
        for symbol in getattr(module, "__all__", ()):
            thing = getattr(module, symbol)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield name, symbol


@pytest.mark.parametrize(("module", "symbol"), list(public_names()))
def test_a_public_name_says_what_it_is(module: str, symbol: str) -> None:
    assert says_something(getattr(importlib.import_module(module), symbol))


@pytest.mark.parametrize("module", ["vaekit", *MODULES])
def test_a_module_says_what_it_is(module: str) -> None:
    assert importlib.import_module(module).__doc__


def says_something(thing: object) -> bool:
    """Whether it has a docstring of its own: not one that a dataclass makes of its fields."""
    words = thing.__doc__ or ""
    name = getattr(thing, "__name__", "")
    return len(words) > len("A word.") and not words.startswith(f"{name}(")


EXAMPLE = {"likelihood": (Size((4,)),), "posterior": (Size((4,)),), "prior": (Size((4,)),), "objective": ()}
"""With what an entry of a registry of factories is called, to see what it makes."""


def registries() -> Iterator[Registry[object]]:
    """Each registry of the house, once."""
    found: dict[int, Registry[object]] = {}
    for name in MODULES:
        found |= {
            id(value): value for value in vars(importlib.import_module(name)).values() if isinstance(value, Registry)
        }
    yield from found.values()


def entries() -> Iterator[tuple[str, str, object]]:
    """Each entry of each registry, by the registry's kind and the entry's name."""
    for registry in registries():
        yield from ((registry.what, name, entry) for name, entry in registry.items())


def test_the_registries_are_found() -> None:
    assert set(EXAMPLE) | {"recipe", "net", "schedule", "optimizer", "path"} <= {found.what for found in registries()}


@pytest.mark.parametrize(
    ("what", "name", "entry"), list(entries()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_registered_part_says_what_it_is(what: str, name: str, entry: object) -> None:
    made = type(entry(*EXAMPLE[what])) if what in EXAMPLE and callable(entry) else entry
    assert says_something(made), f"{what} {name!r} has no docstring"


def test_every_recipe_names_its_paper() -> None:
    from vaekit.recipes import RECIPES

    for entry in RECIPES.values():
        assert says_something(entry.compose), entry.name
        assert entry.summary, entry.name
        assert entry.paper, entry.name
        assert 1980 < entry.year < 2100, entry.name


CHECK_OF_THE_GUIDE = """
import torch
from vaekit import Batch, build

x = torch.linspace(-60, 60, 120001).reshape(-1, 1, 1)
params = torch.tensor([0.3, -0.2]).reshape(1, 1, 2)
assert abs(float(Laplace()(params).log_prob(x).exp().sum()) * 0.001 - 1) < 1e-3

mass = heavy_tailed(Size((1,)))({}).log_prob(x.squeeze(1)).exp().sum() * 0.001
assert abs(float(mass) - 1) < 1e-3

model = build("vae", (6,), latent=2).model
rows = Batch(torch.rand(3, 6).round())
torch.manual_seed(0)
one = ImportanceWeighted(1)(model, rows, Step.first()).value
torch.manual_seed(0)
assert torch.allclose(one, model.trace(rows.x).log_weight[0])
assert (ImportanceWeighted(1000)(model, rows, Step.first()).value.isfinite()).all()

nets = Sinusoidal((7, 5))
assert nets.up([(2,)], (1, 3, 3))(torch.rand(4, 2)).shape == (4, 1, 3, 3)
assert [layer.out_features for layer in nets.down([(6,)], (2,)).layers[::2]] == [7, 5, 2]

model, objective = build("warm_sigma_vae", (6,), steps=10)
assert float(objective.beta(torch.tensor(5))) == 0.5
"""


def test_the_guides_examples_do_what_it_says() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    fresh("\n".join([*blocks, CHECK_OF_THE_GUIDE]))
