"""The documentation site: `make docs` builds it without a network, and a warning is an error."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import denoising_diffusion

HERE = Path(__file__).parent

project = "denoising-diffusion"
author = "the authors of denoising-diffusion"
release = version = denoising_diffusion.__version__
html_title = f"{project} {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "_sphinx",
]
exclude_patterns = ["_build", "_embedded", "_figures"]
default_role = "code_of"
nitpicky = True
# Names of other packages: there is no network to look them up in.
_OTHERS = (
    r"(torch|nn|np|numpy|collections|typing|pathlib|PIL|matplotlib|os)\b.*"
    r"|Tensor|Image|Figure|SubFigure"
)
nitpick_ignore_regex = [("py:.*", _OTHERS), ("py:.*", r".*\b(Kind|Artefacts|Interrupted|Diverged)")]
suppress_warnings = ["myst.strikethrough"]

myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 150
toc_object_entries_show_parents = "hide"
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_embedded"] if (HERE / "_embedded").is_dir() else []
html_copy_source = html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
templates_path: list[str] = []
