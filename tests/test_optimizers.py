"""Adam by name, and Muon: its polynomial, its symmetries, its steps in closed form."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from denoising_diffusion.files import read_tensors
from denoising_diffusion.nn import MLP
from denoising_diffusion.optimizers import Muon, adam, muon, orthogonal
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.train import train_run


def quintic(s):
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (16, 144)])
def test_singular_values_pass_through_the_quintic_and_vectors_stay(shape):
    torch.manual_seed(0)
    m = torch.randn(*shape, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(m, full_matrices=False)
    expected = u @ torch.diag(quintic(s / m.norm())) @ vh
    assert torch.allclose(orthogonal(m), expected, atol=1e-10)


def test_singular_values_end_near_one_in_single_precision():
    s = torch.logspace(math.log10(1 / 500), 0, 10_001, dtype=torch.float64)
    ends = quintic(s)
    assert 0.68 < ends.min() < 0.69 and 1.20 < ends.max() < 1.21
    torch.manual_seed(1)
    found = torch.linalg.svdvals(orthogonal(torch.randn(32, 288)))
    assert found.min() > 0.68 and found.max() < 1.21
    wide = orthogonal(m := torch.randn(64, 576))
    exact = orthogonal(m.double())
    assert (wide - exact).abs().max() < 1e-5


def test_steps_do_not_depend_on_the_size_of_gradients_and_turn_with_them():
    torch.manual_seed(2)
    m, q = torch.randn(6, 10).double(), torch.linalg.qr(torch.randn(6, 6).double())[0]
    assert torch.allclose(orthogonal(1e-3 * m), orthogonal(m), atol=1e-12)
    assert torch.allclose(orthogonal(q @ m), q @ orthogonal(m), atol=1e-12)
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_two_steps_of_a_matrix_in_closed_form():
    w = nn.Parameter(torch.zeros(8, 4, 3, dtype=torch.float64))
    own = Muon([w], [], 0.1, momentum=0.9, beta2=0.99)
    g = [torch.randn(8, 4, 3, dtype=torch.float64, generator=generator(k)) for k in (1, 2)]
    scale = 0.1 * 0.2 * math.sqrt(12)
    for k in (0, 1):
        w.grad = g[k].clone()
        own.step()
    first = 0.1 * g[0]
    second = 0.9 * first + 0.1 * g[1]
    turned = [orthogonal((0.9 * m + 0.1 * g[k]).flatten(1)) for k, m in ((0, first), (1, second))]
    assert torch.allclose(w.detach().flatten(1), -scale * sum(turned), atol=1e-12)


def test_the_root_mean_square_of_a_step_is_a_fifth_of_the_rate():
    torch.manual_seed(3)
    w = nn.Parameter(torch.zeros(64, 64, 3, 3))
    w.grad = torch.randn_like(w)
    Muon([w], [], 1e-2, momentum=0.95, beta2=0.99).step()
    rms = w.detach().square().mean().sqrt().item()
    assert 0.15e-2 < rms < 0.25e-2


def test_the_rest_takes_the_steps_of_adam():
    torch.manual_seed(4)
    mine, theirs = (nn.Parameter(torch.ones(7, dtype=torch.float64)) for _ in range(2))
    own = Muon([], [mine], 1e-2, momentum=0.95, beta2=0.99)
    other = torch.optim.Adam([theirs], lr=1e-2, betas=(0.9, 0.99))
    for _ in range(5):
        mine.grad = theirs.grad = torch.randn(7, dtype=torch.float64)
        own.step()
        other.step()
    assert torch.allclose(mine, theirs, atol=1e-14)


def test_what_counts_as_a_matrix():
    net = nn.ModuleDict(
        {
            "table": nn.Embedding(10, 16),
            "conv": nn.Conv2d(8, 16, 3),
            "norm": nn.GroupNorm(4, 16),
            "answer": nn.Conv2d(16, 1, 3),
            "linear": nn.Linear(16, 16),
        }
    )
    groups = {g["matrices"]: g["params"] for g in muon(net, 1e-3).param_groups}
    names = {id(p): n for n, p in net.named_parameters()}
    assert {names[id(p)] for p in groups[True]} == {"conv.weight", "linear.weight"}
    assert len(groups[True]) + len(groups[False]) == len(names)


@pytest.mark.parametrize("make", [adam, muon])
def test_a_small_regression_is_learned(make):
    torch.manual_seed(5)
    net = MLP.for_data((2,), 10, None, hidden=16)
    x, t = torch.randn(256, 2), torch.randint(1, 11, (256,)).float()
    target = torch.stack([x.prod(1), x.square().sum(1)], 1)
    optimizer = make(net, 5e-3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (net(x, t) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_a_run_killed_between_checkpoints_ends_as_one_never_stopped(tmp_path, monkeypatch):
    config = recipe("spiral")
    training = replace(
        config.training, optimizer="muon", epochs=4, batch_size=256, averages=("power-0.1",)
    )
    config = replace(
        config,
        data={**config.data, "size": 3_000},
        training=training,
        sampling=replace(config.sampling, steps=4, num=50),
    )
    train_run(config, tmp_path / "whole", evaluate=False)
    true, calls = Run.write_checkpoint, []

    def killed(self, *arguments):
        calls.append(true(self, *arguments))
        if len(calls) == 2:
            raise SystemExit(9)

    monkeypatch.setattr(Run, "write_checkpoint", killed)
    with pytest.raises(SystemExit):
        train_run(config, tmp_path / "killed", evaluate=False)
    train_run(config, tmp_path / "killed", evaluate=False)
    assert len(calls) == 4
    ends = [read_tensors(Run(tmp_path / n).checkpoint_file).tensors for n in ("whole", "killed")]
    assert ends[0].keys() == ends[1].keys()
    assert sum("momentum" in k for k in ends[0]) > 3
    assert all(torch.equal(v, ends[1][k]) for k, v in ends[0].items())


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: adam(nn.Linear(2, 2), 0.0), "learning_rate"),
        (lambda: muon(nn.Linear(2, 2), 1e-3, momentum=1.0), "momentum"),
        (lambda: muon(nn.Linear(2, 2), 1e-3, beta2=-0.1), "beta2"),
        (lambda: orthogonal(torch.ones(3)), "matrix"),
    ],
)
def test_refusals(call, name):
    with pytest.raises(ValueError, match=name):
        call()


def generator(seed):
    return torch.Generator().manual_seed(seed)
