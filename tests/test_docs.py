"""The documents: links that lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [p for p in PAGES if p.relative_to(ROOT).parts[:2] != ("docs", "_build")]


def headings(text: str) -> set[str]:
    """The anchors that headings have."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in headings(target.read_text()), link


def test_every_page_is_in_a_table_of_contents():
    told = []
    for index in (ROOT / "docs" / "index.md", ROOT / "docs" / "reference" / "index.md"):
        blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", index.read_text(), re.S | re.M)
        lines = "\n".join(blocks).splitlines()
        told += [index.parent / f"{line}.md" for line in lines if line and line[0] != ":"]
    assert len(told) == len(set(told))
    pages = {p for p in PAGES if p.is_relative_to(ROOT / "docs")}
    assert {*told, ROOT / "docs" / "index.md"} == pages
