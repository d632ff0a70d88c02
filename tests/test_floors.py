import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import denoising_diffusion
from denoising_diffusion.tables import TABLES

ROOT = Path(denoising_diffusion.__file__).parent
FLOORS = (
    {"seeds", "tables", "files", "locks", "checks", "strict_json", "progress", "warn", "memory"}
    | {"inline"},
    {"schedule", "prediction", "guidance", "nn", "data", "ema", "distributed", "config"}
    | {"interpolation", "dequantisation"},
    {"diffusion", "samplers", "loss", "training", "super_resolution", "restoration"}
    | {"consistency_loss"},
    {"likelihood", "variational", "metrics", "report", "sampling", "recipes"},
    {"kinds"},
    {"run"},
    {"export"},
    {"cli"},
    {"__main__"},
)
# Within the lowest floor and among the networks' neighbours some stand on others.
BESIDE = {
    ("seeds", "checks"),
    ("files", "locks"),
    ("inline", "files"),
    ("files", "strict_json"),
    ("tables", "checks"),
    ("tables", "strict_json"),
    ("guidance", "checks"),
    ("guidance", "schedule"),
    ("config", "tables"),
    ("loss", "diffusion"),
    ("consistency_loss", "diffusion"),
    ("consistency_loss", "loss"),
    ("consistency_loss", "samplers"),
    ("super_resolution", "diffusion"),
    ("super_resolution", "loss"),
    ("metrics", "data"),
}


def floor_of(name: str) -> float:
    """The floor of a module; a file that only rows of tables name lies between floors 1 and 2.

    So it may use predictions, schedules and averages, and nothing may import it.
    """
    return next((i for i, names in enumerate(FLOORS) if name in names), 1.5)


def units() -> set[str]:
    files = {p.stem for p in ROOT.glob("*.py")}
    return files | {p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] not in "._"}


def imports_of(source: str, package: str):
    """Line and top-level unit of every import of our own package, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            module = node.module or ""
            names = [f"{module}.{a.name}" for a in node.names] if module == package else [module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] != "__version__":
                yield node.lineno, parts[1]


def wrong_imports(files: dict[str, str]) -> list[str]:
    """Offending lines of these files, by path within the package."""
    wrong = []
    for path, source in files.items():
        unit = path.split("/")[0].removesuffix(".py")
        if unit == "__init__":
            continue
        mine = floor_of(unit)
        for line, target in imports_of(source, "denoising_diffusion"):
            theirs = floor_of(target)
            same = target == unit or (unit, target) in BESIDE
            if not same and (theirs >= mine or theirs == 1.5):
                wrong.append(f"{path}:{line} imports {target}")
    return wrong


def sources() -> dict[str, str]:
    return {str(f.relative_to(ROOT)): f.read_text() for f in sorted(ROOT.rglob("*.py"))}


def test_imports_go_down_the_floors():
    wrong = wrong_imports(sources())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "line", "target"),
    [
        ("schedule.py", "from denoising_diffusion import run", "run"),
        ("schedule.py", "def f():\n    from denoising_diffusion import cli", "cli"),
        ("nn/unet.py", "import denoising_diffusion.kinds.images as k", "kinds"),
        ("metrics/frechet.py", "from denoising_diffusion.kinds.base import Kind", "kinds"),
        ("report/gif.py", "from denoising_diffusion.run import Run", "run"),
        ("samplers/ddim.py", "from denoising_diffusion import sampling", "sampling"),
    ],
)
def test_a_planted_violation_is_found(path, line, target):
    files = sources()
    assert path in files
    files[path] += f"\n{line}\n"
    (found,) = wrong_imports(files)
    assert found.startswith(f"{path}:")
    assert found.endswith(f" imports {target}")


def test_every_unit_is_on_a_floor_or_a_row_of_a_table():
    named = set().union(*FLOORS)
    assert named - {"__main__"} <= units()
    rows = {str(t).partition(":")[0].split(".")[0] for r in TABLES.values() for t in r.values()}
    assert units() - named - {"__init__"} <= rows


def test_points_or_images_is_asked_by_their_kinds_alone():
    allowed = ("kinds/", "data/", "nn/", "tables.py", "recipes.py", "report/", "checks.py")
    question = re.compile(r"len\(\w*\.?(facts\.)?shape\) *[=!]=|==\s*['\"](images|points)['\"]")
    found = [p for p, s in sources().items() if not p.startswith(allowed) and question.search(s)]
    assert not found


def test_only_files_writes():
    writing = re.compile(
        r"write_text|write_bytes|\.open\(\"[wax]|open\([^)]*\"[wax]b?\"|(?<!self)\.save\("
    )
    found = {p for p, s in sources().items() if writing.search(s)}
    # The history is appended to, line by line; animations are saved to memory.
    animations = {f"report/{name}.py" for name in ("gif", "animation", "video")}
    assert found <= {"files.py", "run/history.py", "locks.py"} | animations


def test_no_file_over_300_lines_and_no_function_over_45():
    long = {f.name: n for f in ROOT.rglob("*.py") if (n := len(f.read_text().splitlines())) > 300}
    assert not long
    for path, source in sources().items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 45, f"{path}: {node.name} has {lines} lines"


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split("\n")}


def test_importing_the_package_loads_nothing():
    assert not {"torch", "numpy", "safetensors"} & loaded_after("import denoising_diffusion")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["sample", "--help"]])
def test_help_imports_no_torch(arguments):
    code = f"""
from denoising_diffusion.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert end.code == 0
"""
    assert "torch" not in loaded_after(code)


def test_the_core_needs_torch_numpy_and_safetensors_alone():
    modules = (
        "schedule prediction diffusion guidance samplers sampling seeds loss training ema nn run "
        "config tables"
    )
    code = "\n".join(f"import denoising_diffusion.{m}" for m in modules.split())
    heavy = {"tyro", "sklearn", "matplotlib", "PIL", "scipy"}
    assert not heavy & loaded_after(code)
    names = "UNet MLP GaussianDiffusion DiffusionLoss EMA train sample ddim Schedule write_tensors"
    code = "\n".join(f"from denoising_diffusion import {n}" for n in names.split())
    assert not heavy & loaded_after(code)


def test_the_mutation_round_names_files_that_are_there():
    import tomllib

    here = Path(__file__).parent
    table = tomllib.loads((here / "mutation.toml").read_text())
    missing = [name for name in table["tests"] if not (ROOT / name).is_file()]
    tests = {name for names in table["tests"].values() for name in names}
    assert missing + [name for name in tests if not (here / name).is_file()] == []
