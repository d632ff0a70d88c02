import json

import numpy as np
import pytest
import torch
from torch import nn

from denoising_diffusion import EMA, load, tables
from denoising_diffusion.ema_power import _gamma, power
from test_runs import ddpm


@pytest.mark.parametrize(("width", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_the_exponents_are_the_published_ones(width, gamma):
    assert _gamma(width) == pytest.approx(gamma, abs=0.005)


@pytest.mark.parametrize("width", [0.03, 0.1, 0.25])
def test_the_average_is_the_closed_form_sum(width):
    model = nn.Linear(1, 1).double()
    average = EMA(model, power(width))
    values = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for step, value in enumerate(values, start=1):
        nn.init.constant_(model.weight, value)
        average.update(model, step)
    k = torch.arange(1, 201, dtype=torch.float64)
    exponent = _gamma(width) + 1
    weights = (k**exponent - (k - 1) ** exponent) / 200**exponent
    assert weights.sum().item() == pytest.approx(1)
    assert average.model.weight.item() == pytest.approx((weights * values).sum().item(), rel=1e-12)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_the_profile_has_the_width_that_names_it(width):
    n = 20_000
    k = torch.arange(1, n + 1, dtype=torch.float64)
    weights = ((k / n) ** (_gamma(width) + 1)).diff(prepend=torch.zeros(1, dtype=torch.float64))
    mean = (weights * k / n).sum()
    std = (weights * (k / n - mean) ** 2).sum().sqrt().item()
    assert std == pytest.approx(width, rel=1e-3)


@pytest.mark.parametrize("width", [0.0, 0.3, float("nan")])
def test_other_widths_are_refused(width):
    with pytest.raises(ValueError, match=r"power average must lie in \(0, 0.28\), got"):
        power(width)


def test_a_run_names_it_with_its_width():
    assert tables.numbered("average", "power-0.05", "x") == ("power", 0.05)
    with pytest.raises(ValueError, match="x must be of ema-NUMBER, power-NUMBER, got 'power'"):
        tables.numbered("average", "power", "x")


@pytest.mark.slow
def test_a_run_keeps_both_averages_and_samples_with_either(tmp_path):
    small = {
        "data": {"size": 300},
        "network": {"hidden": 8, "num_layers": 1},
        "schedule": {"timesteps": 5},
        "training": {
            "epochs": 3,
            "batch_size": 50,
            "warmup_steps": 0,
            "decay": False,
            "averages": ["power-0.05"],
        },
        "sampling": {"num": 60},
    }
    (tmp_path / "small.json").write_text(json.dumps(small))
    options = ["train", "spiral", "--config", "small.json", "--out", "run", "--no-evaluate"]
    assert ddpm(*options, cwd=tmp_path).returncode == 0
    weights = {
        name: torch.cat([p.flatten() for p in load(tmp_path / "run", average=name).parameters()])
        for name in ("raw", "ema", "power-0.05")
    }
    assert torch.equal(
        weights["ema"],
        torch.cat([p.flatten() for p in load(tmp_path / "run").parameters()]),
    )
    assert not torch.equal(weights["ema"], weights["power-0.05"])
    assert not torch.equal(weights["raw"], weights["power-0.05"])
    drawn = {}
    for average in weights:
        done = ddpm(
            "sample", "run", "--average", average, "--num", 9, "--out", f"{average}.npz",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        drawn[average] = np.load(tmp_path / f"{average}.npz")["samples"]
    assert np.abs(drawn["ema"] - drawn["power-0.05"]).max() > 0
    raw = ddpm("sample", "run", "--raw-weights", "--num", 9, "--out", "r.npz", cwd=tmp_path)
    assert raw.returncode == 0
    with np.load(tmp_path / "r.npz") as file:
        assert np.array_equal(file["samples"], drawn["raw"])
    # A run that goes on keeps both as one that never stopped.
    assert ddpm("resume", "run", "--epochs", 4, "--no-evaluate", cwd=tmp_path).returncode == 0
    whole = [*options[:-3], "--out", "whole", "--no-evaluate", "--epochs", 4]
    assert ddpm(*whole, cwd=tmp_path).returncode == 0
    for average in ("raw", "ema", "power-0.05"):
        one, two = (load(tmp_path / r, average=average).state_dict() for r in ("run", "whole"))
        assert all(torch.equal(one[k], two[k]) for k in two)
