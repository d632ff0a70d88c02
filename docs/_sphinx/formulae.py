"""Formulae of the theory page, each with the code that is it and the tests that prove it."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.directives.patches import MathDirective

DOCS = Path(__file__).parent.parent
PACKAGE = "denoising_diffusion."
_BLOCK = re.compile(r"^```\{formula\} (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OPTION = re.compile(r"^:(code|tests): (.*)\n", re.MULTILINE)


class Formula(NamedTuple):
    """A formula: its label, LaTeX, names in the package, and tests as path::name."""

    label: str
    latex: str
    code: list[str]
    tests: list[str]


def read() -> list[Formula]:
    """The formulae of docs/theory.md, in its order."""
    found: list[Formula] = []
    for label, body in _BLOCK.findall((DOCS / "theory.md").read_text()):
        options = {k: v.split() for k, v in _OPTION.findall(body)}
        latex = _OPTION.sub("", body).strip()
        found.append(Formula(label, latex, options.get("code", []), options.get("tests", [])))
    return found


def proof(test: str) -> str:
    """The label of a test on the page of proofs."""
    return nodes.make_id(test.replace("/", "-").replace("_", "-"))


def said(test: str) -> str:
    """The name of a test as words."""
    return test.partition("::test_")[2].replace("_", " ")


def _link(domain: str, kind: str, target: str, text: str, document: str) -> Any:
    shown = nodes.literal("", text) if domain == "py" else nodes.inline("", text)
    options = {"refdomain": domain, "reftype": kind, "reftarget": target, "refdoc": document}
    return addnodes.pending_xref("", shown, refexplicit=True, refwarn=True, **options)


class FormulaDirective(MathDirective):
    """A numbered formula, and beneath it links to what computes and to what proves it."""

    required_arguments = 1
    optional_arguments = 0
    final_argument_whitespace = False
    option_spec = {  # noqa: RUF012
        "code": directives.unchanged,
        "tests": directives.unchanged,
    }

    def run(self) -> list[Any]:
        """The nodes."""
        self.options["label"] = self.arguments.pop()
        document = self.env.docname
        line = nodes.paragraph("", "", classes=["proof"])
        for title, key in (("code", "code"), ("proof", "tests")):
            names = self.options.get(key, "").split()
            if names:
                line += nodes.inline("", f"{' · ' if line.children else ''}{title} ")
            for i, name in enumerate(names):
                if key == "code":
                    link = _link("py", "obj", PACKAGE + name, name, document)
                else:
                    link = _link("std", "ref", proof(name), said(name), document)
                line += [nodes.Text(", " if i else ""), link]
        found: list[Any] = super().run()
        return [*found, line] if line.children else found


def setup(app: Any) -> None:
    """The directive."""
    app.add_directive("formula", FormulaDirective)
