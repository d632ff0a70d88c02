"""The public names: the stub, `__all__`, the tables and what the documents name agree."""

import ast
import re
from pathlib import Path

import pytest

import denoising_diffusion
from denoising_diffusion import tables

ROOT = Path(denoising_diffusion.__file__).parent
REPOSITORY = Path(__file__).parent.parent


def stub_names() -> list[str]:
    tree = ast.parse((ROOT / "__init__.pyi").read_text())
    imports = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    assert len(imports) == len(tree.body) - 1  # the version
    for node in imports:
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name} is not exported"
    return [alias.name for node in imports for alias in node.names]


def test_the_stub_and_all_name_the_same():
    names = stub_names()
    assert len(set(names)) == len(names)
    assert set(denoising_diffusion.__all__) == set(names)
    assert set(names) <= set(dir(denoising_diffusion))


@pytest.mark.parametrize("name", stub_names())
def test_every_public_name_can_be_imported(name):
    assert getattr(denoising_diffusion, name) is not None


def test_packages_offer_no_name_that_the_top_lacks():
    import denoising_diffusion.data
    import denoising_diffusion.samplers

    for package in (denoising_diffusion.data, denoising_diffusion.samplers):
        missing = set(package.__all__) - set(stub_names())
        assert not missing, package.__name__


def test_what_the_documents_import_is_public():
    files = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    files += (REPOSITORY / "examples").glob("*.py")
    pattern = re.compile(r"from denoising_diffusion import (\([^)]*\)|[^\n]*)|\bdd\.(\w+)")
    named = {
        name.strip()
        for file in files
        for listed, single in pattern.findall(file.read_text())
        for name in (listed or single).strip("()").split(",")
        if name.strip()
    }
    assert len(named) > 20
    assert named <= set(stub_names())


@pytest.mark.parametrize(
    ("table", "name"), [(t, n) for t, rows in tables.TABLES.items() for n in rows]
)
def test_every_row_of_every_table_resolves(table, name):
    assert callable(tables.resolve(table, name))
