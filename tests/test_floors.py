import ast
import subprocess
import sys
from pathlib import Path

import denoising_diffusion

ROOT = Path(denoising_diffusion.__file__).parent
FLOORS = {
    1: {
        "schedule",
        "guidance",
        "nn",
        "data",
        "ema",
        "distributed",
        "seeds",
        "config",
        "strict_json",
    },
    2: {"diffusion", "samplers", "training"},
    3: {"compat", "sampling", "metrics", "report", "run", "recipes"},
    4: {"jobs"},
    5: {"cli"},
    6: {"__main__"},
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
# The streams of seeds lie under the floor of the data that is drawn with them.
GROUND = {"seeds"}


def imports_of(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("denoising_"):
            parts = (node.module or "").split(".")
            yield node.lineno, parts[1] if len(parts) > 1 else None
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("denoising_diffusion."):
                    yield node.lineno, alias.name.split(".")[1]


def test_imports_go_down_the_floors():
    wrong = []
    for file in sorted(ROOT.rglob("*.py")):
        unit = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        for line, target in imports_of(file):
            if target in (None, unit) or target in GROUND:
                continue
            if FLOOR[target] >= FLOOR[unit]:
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_file_over_300_lines():
    long = {f.name: n for f in ROOT.rglob("*.py") if (n := len(f.read_text().splitlines())) > 300}
    assert not long


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split("\n")}


def test_importing_the_package_loads_nothing():
    assert "torch" not in loaded_after("import denoising_diffusion")


def test_help_imports_no_torch():
    code = """
from denoising_diffusion.cli import main
try:
    main(["train", "--help"])
except SystemExit as end:
    assert end.code == 0
"""
    assert "torch" not in loaded_after(code)


def test_the_core_needs_torch_numpy_and_safetensors_alone():
    modules = (
        "schedule diffusion guidance samplers sampling seeds compat training ema nn run config"
    )
    code = "\n".join(f"import denoising_diffusion.{m}" for m in modules.split())
    heavy = {"tyro", "sklearn", "matplotlib", "PIL"}
    assert not heavy & loaded_after(code)


def test_every_public_name_can_be_imported():
    for name in denoising_diffusion.__all__:
        assert getattr(denoising_diffusion, name) is not None
    assert set(denoising_diffusion.__all__) <= set(dir(denoising_diffusion))
