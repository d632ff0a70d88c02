"""Formulae as MathML, which browsers draw by themselves: no script and no request."""

from functools import cache
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert


@cache
def mathml(latex: str, display: str) -> str:
    """LaTeX as a <math> element, "block" or "inline"."""
    return convert(latex, display=display)


def _inline(self: Any, node: Any) -> None:
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(self: Any, node: Any) -> None:
    self.body.append(self.starttag(node, "div", CLASS="formula"))
    self.body.append(mathml(node.astext(), "block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({node["number"]})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """The renderer, by the name that conf.py gives."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
