"""The demo goes on where it stopped, says when it is there, and ends with what comes next."""

import shlex
import sys
from dataclasses import replace

import pytest

from denoising_diffusion.cli import demo, main
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.train import train_run

DIGITS = recipe("digits")
SMALL = replace(
    DIGITS,
    network={"kind": "unet", "model_channels": 8, "channel_multipliers": [1, 2]},
    schedule={"kind": "cosine", "timesteps": 10},
    training=replace(DIGITS.training, epochs=2, warmup_steps=5, precision="float32"),
    sampling=replace(DIGITS.sampling, steps=2, num=40),
)


def called(*arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code, capsys.readouterr()


def test_a_demo_goes_on_ends_with_what_comes_next_and_is_made_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "recipe", lambda name: {"digits": SMALL}[name])
    out = tmp_path / "my runs" / "digits"

    def stop(step, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(SMALL, out, on_log=stop)
    assert not Run(out).finished
    code, said = called("demo", "--out", out, capsys=capsys)
    assert code == 0
    assert Run(out).finished
    assert "there already" not in said.err
    assert [row["epoch"] for row in Run(out).history.read()] == [1, 2]
    *_, report = said.out.splitlines()
    assert report == f"look at {out / 'report.html'}"
    assert (out / "report.html").is_file()
    written = {f: f.stat().st_mtime_ns for f in out.rglob("*") if f.is_file()}
    code, again = called("demo", "--out", out, capsys=capsys)
    assert code == 0
    assert again.out == said.out
    assert "there already" in again.err
    assert {f: f.stat().st_mtime_ns for f in out.rglob("*") if f.is_file()} == written
    # What it says can be typed as it stands.
    tried = [line for line in said.out.splitlines() if " sample " in line]
    words = shlex.split(tried[0].partition("#")[0])
    arguments = words[words.index("sample") :]
    assert called(*arguments, "--out", tmp_path / "x.png", capsys=capsys)[0] == 0


def test_a_demo_leaves_another_run_alone(tmp_path, capsys):
    Run(tmp_path / "run").create(recipe("spiral"))
    code, said = called("demo", "--out", tmp_path / "run", capsys=capsys)
    assert code == 2
    assert "a run of spiral" in said.err


def test_digits_name_the_package_that_holds_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    code, said = called("demo", "--out", tmp_path / "run", capsys=capsys)
    assert (code, len(said.err.splitlines())) == (2, 1)
    assert "pip install scikit-learn" in said.err
    assert not (tmp_path / "run").exists()
