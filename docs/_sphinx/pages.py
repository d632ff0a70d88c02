"""Parts of pages that are drawn from the code: public names, tables, floors and proofs."""

import ast
import html
import importlib
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import denoising_diffusion
from _sphinx import formulae
from denoising_diffusion.tables import TABLES, resolve

ROOT = formulae.DOCS.parent
MODELS = formulae.DOCS / "_embedded" / "models"
SOURCE = ROOT / "src" / "denoising_diffusion"


def named() -> list[str]:
    """All names that the reference has entries of."""
    files = (formulae.DOCS / "reference").glob("*.md")
    found = [m for f in sorted(files) for m in _BLOCK.findall(f.read_text())]
    return [name for kind, names in found if kind == "public" for name in names.split()]


def public(names: str) -> str:
    """Reference entries of these names."""
    return "\n".join(_entry(name) for name in names.split())


def _entry(name: str) -> str:
    full, found = formulae.PACKAGE + name, _found(name)
    if inspect.isclass(found):
        options = "   :members:\n" + (
            "" if _is_network(found) else "   :special-members: __call__\n"
        )
        return _rst(f".. autoclass:: {full}\n{options}")
    if inspect.isroutine(found):
        return _rst(f".. autofunction:: {full}\n")
    return _rst(f".. py:data:: {name}\n   :module: denoising_diffusion\n\n   {_text_of(name)}\n")


def _found(name: str) -> Any:
    """A public name, or one by the path of its module."""
    module, _, last = name.rpartition(".")
    where = importlib.import_module(formulae.PACKAGE + module) if module else denoising_diffusion
    return getattr(where, last)


def _is_network(found: type) -> bool:
    import torch

    return issubclass(found, torch.nn.Module)


def _text_of(name: str) -> str:
    """The string beneath an assignment, wherever the package has it."""
    for path in sorted(SOURCE.rglob("*.py")):
        body = ast.parse(path.read_text()).body
        for node, then in pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            named = any(isinstance(t, ast.Name) and t.id == name for t in targets)
            if named and isinstance(then, ast.Expr) and isinstance(then.value, ast.Constant):
                return " ".join(str(then.value.value).split()).replace("*", "\\*")
    raise ValueError(f"{name} is described nowhere")


def _rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text}```\n"


def tables(_: str) -> str:
    """Every table, and what its names stand for."""
    return "\n".join(line for table in TABLES for line in _table(table))


def _table(table: str) -> Iterator[str]:
    yield f"\n## {table}\n"
    documented = set(named())
    for name, target in TABLES[table].items():
        found = resolve(table, name)
        name_of = found.__qualname__.partition(".for_data")[0]
        text = (inspect.getdoc(getattr(found, "__self__", found)) or "").split("\n\n")[0]
        text = " ".join(text.split())
        link = f"`{target}`"
        path = f"{found.__module__.removeprefix(formulae.PACKAGE)}.{name_of}"
        for one in (name_of, path):
            if one in documented:
                link = f"{{py:obj}}`~denoising_diffusion.{one}`"
        yield f"- `{name}`: {_plain(text)} {link}"


def _plain(text: str) -> str:
    """Text of a docstring, in Markdown."""
    return re.sub(r"[*_|$<\[](?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\g<0>", text)


def floors(_: str) -> str:
    """The floors of tests/test_floors.py, highest first."""
    tree = ast.parse((ROOT / "tests" / "test_floors.py").read_text())
    (value,) = (
        n.value
        for n in tree.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "FLOORS"
    )
    rows = eval(compile(ast.Expression(value), "FLOORS", "eval"))
    lines = ['<ol class="floors">']
    for number, names in reversed(list(enumerate(rows))):
        units = "".join(map(_unit, sorted(names)))
        lines.append(f"<li><i>{number}</i><div>{units}</div></li>")
    return "```{raw} html\n" + "\n".join([*lines, "</ol>"]) + "\n```\n"


def _unit(name: str) -> str:
    path = SOURCE / f"{name}.py"
    path = path if path.exists() else SOURCE / name / "__init__.py"
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    text = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(text))
    return f"<p><b>{html.escape(name)}</b><span>{text}</span></p>"


def proofs(_: str) -> str:
    """The source of every test that the theory names, and of which formula it speaks."""
    lines: list[str] = []
    of: dict[str, list[str]] = {}
    for formula in formulae.read():
        for test in formula.tests:
            of.setdefault(test, []).append(formula.label)
    for test, labels in of.items():
        path, _, name = test.partition("::")
        lines += [
            f"({formulae.proof(test)})=",
            f"## {name.removeprefix('test_').replace('_', ' ')}",
        ]
        told = ", ".join(f"{{eq}}`{label}`" for label in labels)
        lines += [f"\n`{test}`, of {told}\n"]
        lines += [f"```{{literalinclude}} ../{path}", f":pyobject: {name}", "```\n"]
    return "\n".join(lines)


def drawn(text: str) -> str:
    """A figure for light and for dark pages: its name, what it shows, and its caption."""
    from _sphinx import figures

    name, alt, caption = (part.strip() for part in text.split("\n", 2))
    figures.draw(name)
    lines = [
        f"```{{image}} _figures/{name}-{mode}.svg\n:class: only-{mode}\n:alt: {alt}\n```\n"
        for mode in figures.INKS
    ]
    return "\n".join([*lines, "{.shows}", caption, ""])


def embedded(text: str) -> str:
    """Pages that draw, one at a time under tabs: a line for each, its file and its title."""
    rows = [line.split(" ", 1) for line in text.strip().splitlines()]
    found = [(name, title) for name, title in rows if (MODELS / f"{name}.html").is_file()]
    if len(found) < len(rows):
        return "```{note}\nHere two models draw, in a site that `make docs` built.\n```\n"
    tabs = [
        f'<input type="radio" name="model" id="model-{name}"{"" if i else " checked"}>'
        f'<label for="model-{name}">{title}</label>'
        for i, (name, title) in enumerate(found)
    ]
    frames = [
        f'<iframe src="models/{name}.html" title="{title}" loading="lazy"></iframe>'
        for name, title in found
    ]
    return "\n".join(["```{raw} html", '<div class="models">', *tabs, *frames, "</div>", "```", ""])


_DRAWN = {
    "embedded": embedded,
    "drawn": drawn,
    "public": public,
    "tables": tables,
    "floors": floors,
    "proofs": proofs,
}
_BLOCK = re.compile(
    r"^```\{(embedded|drawn|public|tables|floors|proofs)\}\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def _draw(app: Any, docname: str, source: list[str]) -> None:
    source[0] = _BLOCK.sub(lambda m: _DRAWN[m[1]](m[2]), source[0])


def setup(app: Any) -> None:
    """What stands in a page is replaced as it is read."""
    app.connect("source-read", _draw)
