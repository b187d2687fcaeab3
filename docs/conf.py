"""How the documentation is built: `make docs`."""

from __future__ import annotations

import vaekit

project = "vaekit"
author = "The vaekit developers"
copyright = "2026, The vaekit developers"
release = version = vaekit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

# Docstrings set names in single backticks and mean them as code.
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

# Types of other packages, and names a module uses for itself, are not documented here.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|numpy|pathlib|collections|typing|abc|rich)(\..*)?"),
    ("py:.*", r"(nn|Tensor|Size|Path|TextIO|ArrayLike|Distribution|Constraint|Optimizer|optional|[A-Z])(\..*)?"),
]

html_theme = "furo"
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
