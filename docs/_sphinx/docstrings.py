"""Docstrings are plain text with code in single backticks; here they become reStructuredText."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.ext.napoleon import GoogleDocstring

import denoising_diffusion
from _sphinx import formulae

_CODE = re.compile(r"(`[^`]+`)")
_COLON = "\0"
_SPECIAL = re.compile(r"[\\*|]|_(?!\w)")


def escaped(line: str) -> str:
    """The line with all that reStructuredText would take for markup made plain, but for code."""
    parts = _CODE.split(line)
    return "".join(p if i % 2 else _SPECIAL.sub(r"\\\g<0>", p) for i, p in enumerate(parts))


def _escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [
        line if line.startswith("    ") and "::" in line else escaped(line) for line in lines
    ]
    lines[:] = list(_displayed(lines))
    if what in ("property", "attribute"):
        # napoleon would take words before the first colon for a type, and read no sections.
        read = GoogleDocstring(lines, app.config, app, "method", name, obj, options).lines()
        lines[:] = [line.replace(":", _COLON) for line in read]


def _displayed(lines: list[str]) -> Any:
    """Indented paragraphs of the running text, which hold formulae, as they are written."""
    running, before = True, ""
    for line in lines:
        if re.fullmatch(r"(Args|Returns|Raises|Yields):", line):
            running = False
        if running and line.startswith("    ") and not before.strip():
            yield "::"
            yield ""
        yield line.replace("\\", "") if running and line.startswith("    ") else line
        before = line


def _plain(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: Any, back: Any
) -> Any:
    """Signatures without what checks their arguments, which the text tells."""
    if getattr(obj, "_is_protocol", False):
        return "", None
    if signature:
        signature = re.sub(r"<function [\w.<>]*<lambda>>", "...", signature)
        signature = re.sub(r"<(?:function|class) '?(?:[\w.]+\.)?(\w+)[^<>]*>", r"\1", signature)
        signature = unannotated(signature.replace("<factory>", "..."))
    return signature, back and unannotated(back)


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """The fields of a named tuple are in its signature; there is no more to say of them."""
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field") else None


def unannotated(text: str) -> str:
    """Annotated[X, ...] as X."""
    while found := re.search(r"~?[\w.]*\bAnnotated\[", text):
        depth, ends = 0, [found.end()]
        for place in range(found.end(), len(text)):
            if depth == 0 and text[place] in ",]":
                ends.append(place)
                if text[place] == "]":
                    break
            depth += (text[place] in "[(") - (text[place] in ")]")
        text = text[: found.start()] + text[ends[0] : ends[1]] + text[ends[-1] + 1 :]
    return text


def _append(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """The formulae of the theory page that this function computes, set as formulae."""
    lines[:] = [line.replace(_COLON, ":") for line in lines]
    for formula in formulae.read():
        if name.removeprefix(formulae.PACKAGE) in formula.code:
            lines += ["", ".. math::", "", *("   " + s for s in formula.latex.splitlines()), ""]
            lines += [f"Equation :eq:`{formula.label}` of :doc:`/theory`.", ""]


def _code(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[Any], list[Any]]:
    """Code in single backticks: a link where it is a name of this package, else just code."""
    name = text.strip().removesuffix("()")
    literal = nodes.literal(text, text)
    if name.partition(".")[0] not in denoising_diffusion.__all__ or name in ("labels", "last"):
        return [literal], []
    document = inliner.document.settings.env.docname
    target = formulae.PACKAGE + name
    options = {"refdomain": "py", "reftype": "obj", "reftarget": target, "refdoc": document}
    return [addnodes.pending_xref("", literal, refexplicit=True, refwarn=False, **options)], []


def setup(app: Any) -> None:
    """The role, and what is done before and after napoleon reads the sections."""
    app.add_role("code_of", _code)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-signature", _plain)
    app.connect("autodoc-process-docstring", _escape, priority=100)
    app.connect("autodoc-process-docstring", _append, priority=900)
