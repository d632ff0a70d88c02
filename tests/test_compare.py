"""Two runs beside one another."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from denoising_diffusion.cli import main
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.metrics.influence import paired_difference
from denoising_diffusion.recipes import recipe
from denoising_diffusion.report import Drawing, beside
from denoising_diffusion.run import Run
from denoising_diffusion.run.compare import compare_runs
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.train import train_run
from denoising_diffusion.seeds import stream
from denoising_diffusion.tables import resolve


def tiny(name="spiral", **training):
    config = recipe(name)
    return dataclasses.replace(
        config,
        data={**config.data, "size": 300},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(
            config.training, epochs=2, batch_size=100, warmup_steps=0, **training
        ),
        sampling=dataclasses.replace(config.sampling, num=60),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train_run(tiny(seed=seed), folder / f"s{seed}", evaluate=False)
    return folder


def test_a_run_against_itself_differs_by_0_with_certainty(runs):
    found = compare_runs(Run(runs / "s0"), Run(runs / "s0"), num=50)
    assert {s.key for s in found.scores} == {
        "sliced_wasserstein.difference",
        "mean_distance.difference",
    }
    for score in found.scores:
        assert (score.value, score.interval) == (0.0, 0.0)


def test_differences_are_those_of_the_scores_and_change_sign(runs, capsys):
    a, b = Run(runs / "s0"), Run(runs / "s1")
    there, back = compare_runs(a, b, num=60), compare_runs(b, a, num=60)
    assert there.picture == a.samples / "compare-s1-s0.png"
    for one, other in zip(there.scores, back.scores, strict=True):
        assert one.value == pytest.approx(-other.value, abs=1e-12)
        assert one.interval == pytest.approx(other.interval)
        assert one.interval > 0
    with pytest.raises(SystemExit) as end:
        main(["compare", str(a.path), str(b.path), "--num", "60", "--json"])
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["evaluate", str(a.path), "--num", "60", "--json"])
    alone = json.loads(capsys.readouterr().out)
    for key in ("sliced_wasserstein", "mean_distance"):
        assert told[key]["a"] == pytest.approx(alone[key], abs=1e-9)
        assert told[key]["difference"] == pytest.approx(told[key]["a"] - told[key]["b"])


def test_the_picture_holds_both_and_is_drawn_once(runs):
    a, b = Run(runs / "s0"), Run(runs / "s1")
    path = compare_runs(a, b, num=50, seed=4).picture
    before = path.stat().st_mtime_ns
    assert compare_runs(a, b, num=50, seed=4).picture == path
    assert path.stat().st_mtime_ns == before
    with Image.open(path) as picture:
        assert picture.width > 1.5 * picture.height
    again = compare_runs(a, b, num=40, seed=4).picture
    assert again.name == "compare-s1-s4-2.png"


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    other = Run(tmp_path / "digits")
    digits = recipe("digits")
    facts = facts_of(load_dataset("digits"))
    other.create(dataclasses.replace(digits, facts=facts))
    with pytest.raises(ValueError, match=r"digits draws images \(1, 8, 8\) and .* points \(2,\)"):
        compare_runs(Run(runs / "s0"), other)
    with pytest.raises(ValueError, match=r"must end in \.png"):
        compare_runs(Run(runs / "s0"), Run(runs / "s1"), out=tmp_path / "x.jpg")
    with pytest.raises(ValueError, match="is no run folder"):
        compare_runs(Run(runs / "s0"), Run(tmp_path / "none"))
    assert not (tmp_path / "x.jpg").exists()


@pytest.mark.parametrize("name", ["digits", "patterns", "sines"])
def test_influences_are_of_the_scores_that_the_table_has(name):
    data = load_dataset(name, **({"size": 400} if name == "patterns" else {}))
    kind = resolve("kind", data.kind)(facts_of(data))
    x, labels = (v[:120] for v in whole(data.train))
    x = x + 0.3 * torch.randn(x.shape, generator=stream(0, "noise"))
    names = kind.label_names(labels)
    scores = {s.key: s.value for s in kind.scores(x, names, data, Scoring()).scores}
    moved = kind.influences(x, names, data)
    assert moved
    for score, by, judge in moved:
        assert (judge is None) == (name != "digits")
        assert by.value == pytest.approx(scores[score.key], rel=1e-6)
        assert by.each.shape == (120,)
        assert abs(float(by.each.sum())) < 1e-6
        assert paired_difference(by, by).interval == 0


def test_the_influence_on_a_spectrum_is_its_derivative():
    data = load_dataset("sines")
    kind = resolve("kind", "signals")(facts_of(data))
    x = whole(data.train)[0][:40] * 1.1
    (moved,) = kind.influences(x, None, data)
    # Of a sum over n rows the value at n + 1 rows is that at n, and 1 / (n + 1) of an influence.
    twice = torch.cat([x, x[:1]])
    (more,) = kind.influences(twice, None, data)
    expected = moved.by.value + float(moved.by.each[0]) / 41
    assert more.by.value == pytest.approx(expected, rel=1e-6)


def test_pictures_of_different_sizes_stand_side_by_side():
    images = [Image.new("L", (40, 30), 9), Image.new("RGB", (20, 50), (1, 2, 3))]
    parts = [Drawing(*im.size, lambda figure: None, lambda im=im: im) for im in images]
    whole_picture = beside(parts, ["a", "b"]).image()
    assert whole_picture.size == (40 + 16 + 20, 26 + 50)
    assert whole_picture.getpixel((0, 26)) == (9, 9, 9)
    assert whole_picture.getpixel((56, 26 + 49)) == (1, 2, 3)
    with pytest.raises(ValueError, match="1 titles for 2 drawings"):
        beside(parts, ["a"])
