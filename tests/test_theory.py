"""The theory page: its own law, and that what it names is there."""

import ast
import re
from pathlib import Path

import torch

import denoising_diffusion
from denoising_diffusion import Schedule, cosine_beta_schedule, stream
from mixtures import Mixture

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FORMULAE = re.findall(
    r"^```\{formula\} (\S+)\n:code: ([^\n]*)\n:tests: ([^\n]*)\n\n(.+?)^```$",
    (DOCS / "theory.md").read_text(),
    re.DOTALL | re.MULTILINE,
)


def test_the_best_denoiser_tells_the_gradient_of_the_density():
    spread = torch.tensor([[[0.09, 0.05], [0.05, 0.04]], [[0.02, 0], [0, 0.2]]])
    weight, mean = torch.tensor([0.3, 0.7]), torch.tensor([[-0.8, 0.1], [0.5, 0.9]])
    law = Mixture(weight.double(), mean.double(), spread.double())
    schedule = Schedule.from_betas(cosine_beta_schedule(100))
    t = torch.tensor([1.0, 7.5, 40, 80, 99])
    alpha, sigma = schedule(t)
    noise = torch.randn(5, 2, generator=stream(0, "score"), dtype=torch.float64)
    x = alpha[:, None] * law.sample(5, stream(1, "score")) + sigma[:, None] * noise
    x.requires_grad_()
    (score,) = torch.autograd.grad(law.log_parts(x, alpha, sigma).logsumexp(1).sum(), x)
    estimate = law.denoiser(schedule)(x, t.double())
    told = (alpha[:, None] * estimate - x) / sigma[:, None] ** 2
    torch.testing.assert_close(told, score, rtol=1e-9, atol=1e-9)


def test_every_formula_names_code_and_tests_that_there_are():
    assert len(FORMULAE) == (DOCS / "theory.md").read_text().count("{formula}") > 0
    for label, code, tests, _ in FORMULAE:
        for name in code.split():
            found = denoising_diffusion
            for part in name.split("."):
                found = getattr(found, part)
        for test in tests.split():
            path, _, name = test.partition("::")
            tree = ast.parse((ROOT / path).read_text())
            names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            assert name in names, f"{label} names {test}"


def test_every_public_name_stands_in_the_reference_once():
    blocks = [
        block
        for page in (DOCS / "reference").glob("*.md")
        for block in re.findall(r"^```\{public\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.M)
    ]
    names = [name for block in blocks for name in block.split()]
    assert len(names) == len(set(names))
    assert set(denoising_diffusion.__all__) - {"__version__"} == {n for n in names if "." not in n}
