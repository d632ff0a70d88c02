"""--fast: at most ten evaluations of the network a sample, of any run."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from denoising_diffusion.cli import main
from denoising_diffusion.config import Facts, RunConfig, Sampling
from denoising_diffusion.recipes import RECIPES, recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.draw import draw
from denoising_diffusion.run.fast import MOST, about_fast, fast_sampling
from denoising_diffusion.run.request import completed, evaluations, file_name
from denoising_diffusion.strict_json import read_config, to_json


def facts(config):
    points = config.data["name"] in ("spiral", "patterns", "points")
    kind = {"sines": "signals"}.get(config.data["name"], "points" if points else "images")
    shape = {"points": (2,), "images": (1, 8, 8), "signals": (1, 16)}[kind]
    names = ("a", "b") if {"labels", "clusters"} & {k for k, v in config.data.items() if v} else ()
    columns = ("x", "y") if points else ()
    zero, one = (0.0,) * (2 if points else 1), (1.0,) * (2 if points else 1)
    return Facts(
        kind, shape, names, zero, one, (-1.0, 1.0), 100, "0" * 64, "x", columns=columns
    )  # fmt: skip


def run_of(folder, config, **sampling):
    config = replace(config, facts=config.facts or facts(config))
    run = Run(folder)
    run.config = replace(config, sampling=replace(config.sampling, **sampling))
    return run


@pytest.mark.parametrize("name", RECIPES)
def test_any_run_takes_at_most_ten_evaluations(tmp_path, name):
    run = run_of(tmp_path, recipe(name))
    wish = completed(run, fast_sampling(run))
    assert evaluations(run, wish) <= MOST
    own = completed(run, replace(run.config.sampling, num=None))
    assert evaluations(run, own) > MOST  # else it would be no other
    assert file_name(run, wish) != file_name(run, own)


def test_the_recipe_says_it_as_data(tmp_path):
    run = run_of(tmp_path, recipe("numbers"))
    wish = completed(run, fast_sampling(run))
    assert (wish.sampler, wish.steps, wish.times) == ("dpmpp-2m", 7, "log-snr")
    assert (wish.guidance_scale, wish.guidance_interval) == (1.1, (0.5, 8.0))
    assert evaluations(run, wish) == 9
    own = completed(run, replace(run.config.sampling, num=None))
    assert (own.steps, own.times, own.guidance_interval) == (10, "log-snr", (0.5, 8.0))
    assert evaluations(run, own) == 14
    assert about_fast(run, wish).endswith("7 steps, 9 evaluations of the network a sample, "
                                          "as the configuration says")  # fmt: skip
    other = replace(recipe("numbers"), fast={"steps": 7, "guidance_interval": (1.0, 8.0)})
    guided = run_of(tmp_path, other)
    assert evaluations(guided, completed(guided, fast_sampling(guided))) == 9
    plain = run_of(tmp_path, other, guidance_scale=1.0, guidance_interval=None)
    assert evaluations(plain, completed(plain, fast_sampling(plain))) == 7
    few = replace(recipe("numbers"), schedule={"kind": "cosine", "timesteps": 10})
    few = replace(few, fast={"steps": 12})
    assert fast_sampling(run_of(tmp_path, few)).steps == 10


@pytest.mark.parametrize(
    ("own", "sampler", "steps"),
    [
        ({"sampler": "ddim", "steps": 50}, "dpmpp-2m", 10),
        ({"sampler": "ddpm", "steps": None}, "dpmpp-2m", 10),
        ({"sampler": "ddim", "steps": 50, "eta": 0.5}, "dpmpp-2m", 10),
        ({"sampler": "ddim", "steps": 50, "guidance_scale": 2.0}, "dpmpp-2m", 5),
        ({"sampler": "unipc", "steps": 50, "guidance_scale": 2.0}, "unipc", 5),
        ({"sampler": "heun", "steps": 50}, "heun", 5),
        ({"sampler": "ddim", "steps": 8}, "ddim", 8),
        ({"sampler": "heun", "steps": 50, "guidance_scale": 2.0}, "heun", 3),
    ],
)
def test_without_such_a_part_a_rule_holds(tmp_path, own, sampler, steps):
    run = run_of(tmp_path, recipe("digits"), **own)
    wish = completed(run, fast_sampling(run))
    assert (wish.sampler, wish.steps) == (sampler, steps)
    more = replace(wish, steps=steps + 1)
    if (sampler, steps) != ("ddim", 8):
        assert evaluations(run, wish) <= MOST < evaluations(run, more)
    assert "by rule" in about_fast(run, wish)


def test_the_part_is_read_as_strictly_as_the_rest():
    config = json.loads(to_json(recipe("numbers")))
    assert read_config(RunConfig, config) == recipe("numbers")
    for part, message in (
        ({"step": 7}, r"unknown key fast\.step"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"guidance_interval": [2.0, 1.0]}, "LOW below HIGH"),
        ({"times": "tuned"}, "cannot be tuned"),
    ):
        with pytest.raises(ValueError, match=message):
            read_config(RunConfig, {**config, "fast": part})
    del config["fast"]
    assert read_config(RunConfig, config).fast == {}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    config = recipe("digits")
    config = replace(
        config,
        network={**config.network, "model_channels": 8, "channel_multipliers": [1, 2]},
        training=replace(config.training, precision="float32"),
        facts=facts(config),
    )
    run = Run("run")
    run.create(config)
    run.export(build_diffusion(config).state_dict(), config.total_steps)
    return run


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def test_the_command_draws_what_it_says(place, capsys):
    assert ddpm("sample", "run", "--fast", "--num", 2, "--out", "x.npz") == 0
    said = capsys.readouterr().err
    assert "--fast: dpmpp-2m, 10 steps, 10 evaluations of the network a sample, by rule" in said
    wish = completed(place, Sampling("dpmpp-2m", steps=10, num=2))
    x = draw(place, place.model(device="cpu"), wish)
    with np.load("x.npz") as arrays:
        assert np.array_equal(arrays["samples"], place.kind.encode(x))
    assert place.artefacts.origin(place.path / "../x.npz")["request"]["steps"] == 10
    assert ddpm("sample", "run", "--fast", "--seed", 3, "--num", 2) == 0
    assert (place.samples / "dpmpp-2m-10-g1-s3-n2.png").exists()
    assert torch.isfinite(x).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--steps", 5], "--fast decides steps and guidance by itself: it takes no --steps"),
        (["--sampler", "ddim"], "it takes no --sampler"),
        (["--guidance-scale", 2], "it takes no --guidance-scale"),
        (["--times", "karras"], "it takes no --times"),
        (["--then", "run"], "it takes no --then"),
    ],
)
def test_what_it_decides_is_not_asked_twice(place, capsys, arguments, text):
    assert ddpm("sample", "run", "--fast", *arguments) == 2
    assert text in capsys.readouterr().err.splitlines()[-1]
    assert not list(place.samples.iterdir())


def test_what_is_drawn_already_is_refused(place, capsys):
    assert ddpm("sample", "run", "--num", 2, "--out", "x.npz") == 0
    assert ddpm("evaluate", "x.npz", "--fast") == 2
    assert "is drawn already" in capsys.readouterr().err
