"""What Sphinx is taught for this site: formulae without a script, and pages drawn from the code."""

from typing import Any

from _sphinx import docstrings, formulae, mathml, pages


def setup(app: Any) -> dict[str, bool]:
    """The extension."""
    for part in (mathml, formulae, docstrings, pages):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
