"""How the documentation is built: `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import vaekit
from vaekit.families import LIKELIHOODS, POSTERIORS
from vaekit.nets import ACTIVATIONS, NETS, NORMALISATIONS
from vaekit.priors import PRIORS
from vaekit.recipes import RECIPES
from vaekit.recipes.description import Description

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

project = "vaekit"
author = "The vaekit developers"
copyright = "2026, The vaekit developers"
release = version = vaekit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

# Docstrings set names in single backticks and mean them as code.
default_role = "code"


def listed(names: Iterable[str]) -> str:
    """Names in a row, as code."""
    return ", ".join(f"`{name}`" for name in names)


def table_of_recipes() -> str:
    """A line for each recipe: its name, what it is, who published it."""
    lines = (f"| `{name}` | {entry.summary} | {entry.paper}, {entry.year} |" for name, entry in RECIPES.items())
    return "\n".join(["| recipe | what it is | source |", "|---|---|---|", *lines])


# What the registries hold is written into the pages from the registries themselves.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "recipes": table_of_recipes(),
    "nets": listed(NETS),
    "activations": listed(ACTIVATIONS),
    "normalisations": listed(NORMALISATIONS),
    "likelihoods": listed(LIKELIHOODS),
    "posteriors": listed(POSTERIORS),
    "priors": listed(PRIORS),
}

autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# What scikit-learn adds to estimators refers to pages of its own.
autodoc_default_options = {"members": True, "exclude-members": "set_fit_request, set_score_request"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

# Types of other packages, and names a module gives to types for its own use, are not documented here.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|numpy|pandas|pathlib|collections|datetime|typing|abc|rich|nn)\..*"),
    ("py:.*", r"vaekit\.(common\.registry\.T|common\.chunks\.T_co|nets\.mlp\.LinearLayer)"),
    # Types inside signatures that the reference does not list by themselves.
    ("py:class", r"vaekit\.(core|families|flows|objectives|priors|recipes|train)(\.\w+)+\.\w+"),
    ("py:class", r"vaekit\.defaults\.V"),
    ("py:.*", r"\w+"),
]

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "vaekit"
html_static_path = ["_static"]
html_css_files = ["vaekit.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5d8a", "color-brand-content": "#0b5d8a"},
    "dark_css_variables": {"color-brand-primary": "#6cb8e0", "color-brand-content": "#6cb8e0"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


PLAIN = ("attribute", "data", "property")
as_written: dict[str, list[str]] = {}


def keep(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep what is said of a value, before napoleon takes "log p: its mean" for a type and its description."""
    if what in PLAIN:
        as_written[name] = list(lines)


def put_back(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put back what was said."""
    if what in PLAIN:
        lines[:] = as_written.pop(name)


def own_signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str, answer: str) -> Any:
    """The signature of a class that takes no arguments, in the place of the one it inherits from `nn.Module`."""
    return ("()", answer) if arguments == "(*args: Any, **kwargs: Any)" else None


LAST_BLANK_LINE = re.compile(r"^(```python\n.*?)\n+```$", re.DOTALL | re.MULTILINE)


def without_last_blank_line(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave out the blank line that ends an example: doctest needs it, readers do not."""
    source[0] = LAST_BLANK_LINE.sub(r"\1\n```", source[0])


def with_every_recipe(app: Sphinx, page: str, source: list[str]) -> None:
    """Write the processes of all recipes into their page, from the models that they build."""
    if page == "recipes":
        sections = (Description.of(entry, (1, 28, 28)).markdown() for entry in RECIPES.values())
        source[0] = source[0].replace("<!-- every recipe -->", "\n".join(sections))


def mathml(page: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw themselves: no script, no network."""
    page.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Read docstrings around napoleon, whose priority is 500; write formulas as MathML."""
    app.connect("autodoc-process-signature", own_signature)
    app.connect("source-read", without_last_blank_line)
    app.connect("source-read", with_every_recipe)
    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", put_back, priority=600)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
