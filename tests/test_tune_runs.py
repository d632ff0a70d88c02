import json

import pytest

from denoising_diffusion.config import Sampling
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.grids import grid_file
from denoising_diffusion.run.request import completed, times_of
from test_runs import ddpm

TINY = ["--training.epochs", "1", "--no-evaluate", "--threads", "1"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    done = ddpm("train", "spiral", *TINY, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def refused(*arguments, cwd):
    done = ddpm(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_refusals(home):
    assert "without chance" in refused("tune", "run", "--sampler", "ddpm", "--steps", "5", cwd=home)
    assert "num must" in refused("tune", "run", "--sampler", "ddim", "--num", "300", cwd=home)
    assert "takes no times, got 'karras'" in refused("tune", "run", "--times", "karras", cwd=home)
    command = ["train", "spiral", "--sampling.times", "tuned", "--dry-run"]
    assert "ddpm tune RUN" in refused(*command, cwd=home)
    assert not (home / "run" / "grids").exists()


def test_tuned_times_are_stored_used_and_refused_of_other_weights(home):
    run = Run(home / "run")
    wish = Sampling("dpmpp-2m", steps=5, times="tuned", clip=run.config.sampling.clip)
    with pytest.raises(ValueError, match="no times tuned for 5 steps of dpmpp-2m; ddpm tune "):
        completed(run, wish)
    how = ["run", "--sampler", "dpmpp-2m", "--steps", "5"]
    said = ddpm("tune", *how, "--num", "32", cwd=home)
    assert all(name in said.stdout for name in ("uniform", "log-snr", "karras", "tuned"))
    found = json.loads(grid_file(run, wish).read_text())
    times = times_of(run, run.model().schedule, completed(run, wish))
    assert times == found["times"]
    assert len(times) == 6
    assert min(found["errors"].values()) == found["errors"]["tuned"]

    draw = ["sample", *how, "--num", "8", "--times", "tuned"]
    assert ddpm(*draw, cwd=home).returncode == 0
    (file,) = run.samples.glob("dpmpp-2m-5-*-tuned*.png")
    assert run.artefacts.origin(file)["grid"] == times

    assert ddpm("resume", "run", "--epochs", "2", *TINY[2:], cwd=home).returncode == 0
    assert "was tuned to other weights; ddpm tune run" in refused(*draw, cwd=home)
