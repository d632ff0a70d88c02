"""Likelihoods of runs and strips between pictures, by their commands."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import denoising_diffusion as dd
from denoising_diffusion.config import Sampling
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run, between
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.request import completed
from fuzz_runs import called, make


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("likelihood")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        make(folder)
        picture = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
        Image.fromarray(picture).save("a.png")
        Image.fromarray(np.stack([picture.T] * 3, -1)).save("colour.png")
        Image.fromarray(picture[:5]).save("low.png")
        (folder / "text.png").write_text("no picture")
        rows = np.random.default_rng(0).normal(size=(200, 2)) @ [[1, 0.6], [0, 0.8]]
        options = ["--epochs=1", "--training.epoch-size=200", "--network.hidden=8"]
        options += ["--network.num-layers=1", "--schedule.timesteps=6", "--no-evaluate"]
        for name, scale in (("ones", 1.0), ("tens", 10.0)):
            np.save(f"{name}.npy", rows * scale + 3)
            answer = called(
                ["train", "points", "--data", f"{name}.npy", *options, "--out", name], folder
            )
            assert answer.code == 0, answer
    return folder


def asked(workplace, *arguments):
    answer = called(["evaluate", *map(str, arguments), "--likelihood", "--json"], workplace)
    assert answer.code == 0, answer
    return json.loads(answer.out)


def test_the_likelihood_of_images_is_one_object_beside_that_of_training_data(workplace):
    found = asked(workplace, "run", "--num", 12)
    assert {"bits_per_dim", "bits_per_dim_interval", "bits_per_dim_bound"} < set(found)
    assert {"bits_per_dim_bound_interval", "bits_per_dim_train"} < set(found)
    assert found["dequantisation"] == "uniform"
    assert found["levels"] == 256
    assert found["examples"] == 12
    assert found["bits_per_dim_trace_error"] > 0
    assert asked(workplace, "run", "--num", 12) == found
    other = asked(workplace, "run", "--num", 12, "--seed", 5)
    for key in ("bits_per_dim", "bits_per_dim_bound"):
        assert 0 < abs(other[key] - found[key]) < found[f"{key}_interval"] + 0.3
    assert asked(workplace, "run")["examples"] == 16  # all that were held out
    table = called(["evaluate", "run", "--likelihood", "--num", "4"], workplace)
    assert "bits per dimension, by the variational bound" in table.out


def test_the_density_of_points_is_that_of_their_units(workplace):
    ones, tens = asked(workplace, "ones"), asked(workplace, "tens")
    assert ones["dequantisation"] == "none"
    assert ones["levels"] is None
    assert ones["ode_start"] == 1
    assert ones["bits_per_dim_trace_error"] == 0
    for key in ("bits_per_dim", "bits_per_dim_bound", "bits_per_dim_train"):
        assert tens[key] - ones[key] == pytest.approx(math.log2(10), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["evaluate", "run", "--likelihood", "--guidance-scale", "2"], "takes --num, --seed and"),
        (["evaluate", "run", "--likelihood", "--sampler", "heun"], "takes --num, --seed and"),
        (["evaluate", "run", "--likelihood", "--classic"], "it takes no --classic"),
        (["evaluate", "run", "--likelihood", "--num", "17"], "num must lie in 2..16"),
        (["evaluate", "run", "--likelihood", "--num", "1"], "num must lie in 2..16"),
        (["evaluate", "run", "--likelihood", "--data", "spiral"], "knows nothing of spiral"),
        (["evaluate", "run", "--likelihood", "--data", "digits"], "has not the classes of this"),
        (["evaluate", "x.npz", "--likelihood"], "x.npz is no run folder"),
        (["sample", "run", "--between", "a.png", "x.png"], "x.png: no such file"),
        (["sample", "run", "--between", "a.png", "text.png"], "text.png is no picture"),
        (["sample", "run", "--between", "low.png", "1"], "low.png is 8 × 5 pixels, it must be"),
        (["sample", "run", "--between", "1", "2", "--sampler", "ddpm"], "without chance"),
        (["sample", "run", "--between", "1", "2", "--eta", "0.5"], "got ddim with eta 0.5"),
        (["sample", "run", "--between", "1", "2", "--num", "1"], "num must lie in 2..1000, got 1"),
        (["sample", "run", "--between", "1", "2", "--label", "0", "1"], "takes one --label"),
        (["sample", "run", "--between", "1", "2", "--gif", "a.gif"], "exclude each other"),
        (["sample", "run", "--between", "1", "2", "--strip", "forward"], "exclude each other"),
        (["sample", "run", "--between", "1", "2", "--out", "a.npz"], "the name must end in .png"),
        (["sample", "run", "--between", str(2**63), "2"], "a seed of --between must lie in 0.."),
        (["sample", "ones", "--between", "1", "2"], "pictures of images; this run has points"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_one_line(workplace, arguments, text):
    before = sorted(workplace.rglob("*"))
    answer = called(arguments, workplace)
    assert answer.code == 2
    (line,) = answer.error.strip().splitlines()
    assert text in line
    assert sorted(workplace.rglob("*")) == before


def test_a_strip_is_drawn_once_and_anew_where_a_picture_has_changed(workplace):
    command = ["sample", "run", "--between", "a.png", "7", "--num", "5"]
    first = called(command, workplace)
    assert first.code == 0, first
    file = workplace / first.out.strip()
    assert file.name == "between-a-7.png"
    with Image.open(file) as strip:
        assert strip.width > 5 * 32
    again = called(command, workplace)
    assert again.out == first.out
    assert "is there already" in again.error
    origin = Run(workplace / "run").artefacts.origin(file)
    assert [set(end) for end in origin["between"]] == [{"picture"}, {"seed"}]
    before = (workplace / "a.png").read_bytes()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(workplace / "a.png")
    other = called(command, workplace)
    (workplace / "a.png").write_bytes(before)
    assert other.out.strip().endswith("between-a-7-2.png")
    for ends in (("colour.png", "a.png"), ("3", "4")):
        answer = called(["sample", "run", "--between", *ends, "--sampler", "heun"], workplace)
        assert answer.code == 0, answer


@pytest.fixture
def gaussian(tmp_path):
    """A run of digits, and the best model of pixels that are N(0, 1/4)."""
    data = dd.load_dataset("digits")
    run = Run(tmp_path / "run")
    run.create(replace(recipe("digits"), facts=facts_of(data)))
    schedule = dd.Schedule.from_betas(dd.cosine_beta_schedule(100))

    def network(x, t, labels):
        alpha, sigma = schedule.at(t, like=x)
        return 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * x

    return run, dd.GaussianDiffusion(schedule, (1, 8, 8), network, "x_start")


@pytest.mark.parametrize(("sampler", "error"), [("heun", 0.006), ("ddim", 0.03)])
def test_the_ends_of_a_strip_are_the_pictures_and_samples_themselves(gaussian, sampler, error):
    run, model = gaussian
    picture = 0.5 * torch.randn(1, 1, 8, 8, generator=dd.stream(0, "picture"))
    ends = [between.End(None, picture, "a", {}), between.End(5, None, "5", {})]
    wish = completed(run, Sampling(sampler, steps=50, eta=None, label=("none",), num=4, clip=False))
    shares = torch.linspace(0, 1, 4)
    x = between._between(run, model, wish, ends, shares)
    assert x.shape == (4, 1, 8, 8)
    assert (x[:1] - picture).square().mean().sqrt() < error
    walk = {"heun": dd.heun, "ddim": dd.ddim}[sampler]
    grid, denoise = dd.time_grid(100, 50), dd.bound(model.denoise, torch.zeros(1).long())
    sample = dd.last(dd.sample(model, 1, sampler=walk, times=grid, denoise=denoise, seed=5)).x
    assert (x[-1:] - sample).abs().max() < 0.02
    # Encoding is a multiple here, so the way between is that of slerp itself.
    mixes = dd.slerp(picture, sample, shares)[:, 0]
    norms = [v.flatten(1).norm(dim=1) for v in (x, mixes)]
    assert norms[0][1] > 0.9 * norms[0][[0, 3]].min()
