"""One self-contained page of HTML: its template, style and script lie beside this file."""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

_FILES = ("page.html.j2", "parts.html.j2", "page.css", "page.js", "reading.toml")


@cache
def asset(name: str) -> str:
    """The text of a file that lies beside this one."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")


def assets_digest() -> str:
    """SHA-256 of all that a page is made of beside what it shows."""
    return hashlib.sha256("\0".join(map(asset, _FILES)).encode()).hexdigest()


def render(**shown: Any) -> str:
    """The page of these variables of `page.html.j2`; every text among them is escaped.

    No script runs but our own, which the page names by its digest, and nothing is asked of any
    other machine: a policy in the page forbids both.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    templates = DictLoader({name: asset(name) for name in _FILES[:2]})
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        style=asset("page.css"), script=script, script_digest=digest, **shown
    )
