import csv
import dataclasses
import html
import json
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import denoising_diffusion
from denoising_diffusion.cli import main
from denoising_diffusion.config import Facts, TrainingConfig
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.kinds.base import Scoring
from denoising_diffusion.kinds.points import Points, column_names
from denoising_diffusion.report import style
from denoising_diffusion.run import Run, animate
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.request import completed
from denoising_diffusion.samplers import Step

TINY = {
    "network": {"hidden": 16, "num_layers": 1},
    "schedule": {"timesteps": 5},
    "training": {"epochs": 4, "epoch_size": 500, "batch_size": 100, "warmup_steps": 0},
    "sampling": {"num": 60},
}


def cloud(n: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal([100.0, 0.5], [14.0, 0.07], (n, 2))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("points")
    np.savetxt(folder / "mine.csv", cloud(), delimiter=",", header="a,b", comments="")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    arguments = ["train", "points", "--data", str(folder / "mine.csv"), "--out", str(folder / "r")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--config", str(folder / "tiny.json")])
    assert end.value.code == 0
    return Run(folder / "r")


def test_an_epoch_is_as_long_as_it_is_said_to_be(run):
    # 180 rows to train on would be 2 steps; 4 epochs of 500 in batches of 100 are 20.
    assert [(row["epoch"], row["step"]) for row in run.history.read()] == [
        (1, 5), (2, 10), (3, 15), (4, 20),
    ]  # fmt: skip
    assert TrainingConfig().epoch_size is None
    with pytest.raises(ValueError, match="epoch_size must be at least 1, got 0"):
        TrainingConfig(epoch_size=0)


def test_the_evaluation_has_the_scores_of_points(run):
    scores = json.loads(run.evaluation_file.read_text())
    assert {
        "sliced_wasserstein", "sliced_wasserstein_interval", "floor", "ceiling", "marginals",
        "neighbour_ratio", "mean_distance", "held_out_distance", "arc_histogram_tv",
    } <= set(scores)  # fmt: skip
    assert len(scores["marginals"]) == 2 and scores["arc_histogram_tv"] is None


def sample(run: Run, file: str, *options: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run.path), "--out", str(run.path / file), "--num", "30", *options])
    assert end.value.code == 0


def test_samples_come_as_csv_and_npy_and_are_those_of_the_npz(run):
    for suffix in ("npz", "npy", "csv", "png"):
        sample(run, f"s.{suffix}")
    with np.load(run.path / "s.npz") as file:
        expected = file["samples"]
    array = np.load(run.path / "s.npy", allow_pickle=False)
    assert array.dtype == expected.dtype and np.array_equal(array, expected)
    with (run.path / "s.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(column_names(run.facts)) == ["a", "b"]
    # Every number is written as exactly as it is kept.
    assert np.array_equal(np.array(rows, expected.dtype), expected)


def test_pictures_of_a_run_say_what_they_show_in_any_format(run):
    with Image.open(run.path / "history.png") as picture:
        assert min(picture.size) >= 360 and picture.text["Title"].startswith("history of ")
    with Image.open(run.path / "samples.png") as picture:
        notes = picture.text
        assert min(picture.size) >= 512
    assert notes["Software"] == f"denoising-diffusion {denoising_diffusion.__version__}"
    weights = json.loads(notes["Description"])["weights"]
    assert notes["Source"] == f"points, seed 0, step 20, weights {weights[:12]}"
    for suffix in ("svg", "pdf"):
        contents = []
        for _ in range(2):
            sample(run, f"p.{suffix}", "--seed", "7", "--overwrite")
            contents.append((run.path / f"p.{suffix}").read_bytes())
        assert contents[0] == contents[1]
    svg = html.unescape((run.path / "p.svg").read_text(encoding="utf-8"))
    assert {">a<", ">b<", ">data<", ">samples<"} <= set(re.findall(">[^<>]*<", svg))
    assert notes["Source"] in svg and '"seed": 7' in svg and weights in svg
    assert svg.count("<use ") > 30 + 180  # every sample, and every row of the data, is a mark


def test_a_walk_has_the_format_of_its_suffix_and_begins_with_noise(run):
    found = {}
    for suffix in ("gif", "apng", "webp"):
        sample(run, "w.npz", "--animate", str(run.path / f"w.{suffix}"), "--overwrite")
        with Image.open(run.path / f"w.{suffix}") as file:
            frames = [
                np.asarray(f.convert("RGB")).astype(int) for f in ImageSequence.Iterator(file)
            ]
            assert len(frames) == 6 and file.format == {"apng": "PNG"}.get(suffix, suffix.upper())
            assert min(file.size) >= 512
        found[suffix] = np.stack(frames)
    assert np.array_equal(found["apng"], found["webp"])
    assert np.abs(found["gif"] - found["apng"]).mean() < 4
    own = Run(run.path)
    own.kind.show_behind(own.data)
    wish = completed(own, dataclasses.replace(own.config.sampling, num=30))
    noise = next(animate.walked(own, own.model(), wish))
    (first, *_) = own.kind.frames([noise], None, "state")
    assert noise.t == 5 and np.array_equal(found["apng"][0], np.asarray(first))


@pytest.mark.parametrize("suffix", [".txt", ".npzz", ""])
def test_another_suffix_is_refused(run, suffix, capsys):
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run.path), "--out", str(run.path / f"t{suffix}")])
    assert end.value.code == 2
    assert "must end in .png or .svg or .pdf or .npz or .csv or .npy" in capsys.readouterr().err


def test_samples_and_pictures_need_no_data(run, tmp_path):
    file = next(iter(run.path.parent.glob("mine.csv")))
    content = file.read_bytes()
    file.unlink()
    try:
        sample(run, "without.png")
    finally:
        file.write_bytes(content)
    sample(run, "with.png")
    assert (run.path / "with.png").read_bytes() != (run.path / "without.png").read_bytes()


FACTS = Facts(
    "points", (3,), ("one", "two"), (1e6, 0.0, -2.0), (1.0, 2.0, 3.0), (-9.0, 9.0), 9, "", "points"
)


def test_a_label_column_and_digits_beyond_float32():
    kind = Points(FACTS)
    x = torch.tensor([[0.25, 1.0, 2.0], [0.5, -1.0, 0.125]])
    head, *rows = kind.table(x, ["two", "none"], ".csv").decode().splitlines()
    assert head == "x,y,z,label"
    assert rows == ["1000000.25,2.0,4.0,two", "1000000.5,-2.0,-1.625,none"]
    assert kind.encode(x).dtype == np.float64
    assert torch.equal(kind.decode(kind.encode(x)), x)


def test_limits_hold_the_data_in_its_own_units(tmp_path):
    np.save(tmp_path / "a.npy", cloud(1000))
    data = load_dataset("points", path=tmp_path / "a.npy")
    kind = Points(facts_of(data))
    for behind in (False, True):
        if behind:
            kind.show_behind(data)
        for column, (low, high) in zip(cloud(1000).T, kind._limits(), strict=True):
            held = ((column > low) & (column < high)).mean()
            assert held > 0.99 and high - low < 10 * column.std()
    # One far point does not make a dot of all others.
    far = cloud(1000)
    far[0] = 1e6
    np.save(tmp_path / "b.npy", far)
    data = load_dataset("points", path=tmp_path / "b.npy", seed=1)
    scale = torch.tensor(data.scale).mean()
    assert scale > 1000
    kind = Points(facts_of(data))
    kind.show_behind(data)
    assert kind._limits()[0][1] < 1e5


def test_frames_have_one_size_and_follow_the_walk(tmp_path):
    kind = Points(
        dataclasses.replace(FACTS, shape=(2,), shift=(0.0, 1.0), scale=(1.0, 2.0), class_names=())
    )
    steps = [Step(float(t), torch.full((40, 2), t / 2), torch.zeros(40, 2)) for t in (2, 1, 0)]
    states, estimates = (kind.frames(steps, None, of) for of in ("state", "estimate"))
    assert len({f.size for f in states + estimates}) == 1 and len(states) == 3
    # The walk ends where its estimates are: the last frames agree, the first do not.
    assert states[2].tobytes() == estimates[2].tobytes()
    assert states[0].tobytes() != estimates[0].tobytes()

    def place(frame) -> np.ndarray:
        blue = np.asarray(frame).astype(int) - np.rint(style.rgb(style.POINTS))
        return np.argwhere(np.abs(blue).sum(2) < 60)[:, ::-1].mean(0)

    # x and y are one model unit more at each step before: to the right and up.
    moves = [place(a) - place(b) for a, b in pairwise(states)]
    np.testing.assert_allclose(moves[0], moves[1], atol=1)
    assert moves[0][0] > 10 and moves[0][1] < -10


def test_classes_of_the_users_that_are_called_as_curves_are_are_not_scored_along_them(tmp_path):
    rows = cloud(600)
    lines = [f"{x},{y},{'spiral' if i % 2 else 'moons'}" for i, (x, y) in enumerate(rows)]
    (tmp_path / "mine.csv").write_text("\n".join(["a,b,kind", *lines]))
    data = load_dataset("points", path=tmp_path / "mine.csv", label_column="kind")
    kind = Points(facts_of(data))
    x, labels = whole(data.reference)
    names = [data.class_names[k - 1] for k in labels.tolist()]
    found = {s.key: s for s in kind.scores(x, names, data, Scoring()).scores}
    assert found["arc_histogram_tv"].value is None
    assert kind.scores(x, None, data, Scoring()).scores  # none of them needs a class
    kind.show_behind(data)
    assert kind._data is not None and kind._limits() != ((-2.0, 2.0), (-2.0, 2.0))


def test_labelled_points_are_scored_class_by_class(tmp_path):
    torch.manual_seed(0)
    data = load_dataset("patterns", size=6000)
    kind = Points(facts_of(data))
    x, labels = whole(data.reference)
    names = [data.class_names[k - 1] for k in labels.tolist()]
    found = {s.key: s for s in kind.scores(x, names, data, Scoring()).scores}
    for name in data.class_names:
        assert found[f"classes.{name}.sliced_wasserstein"].value == 0
    assert found["sliced_wasserstein"].value == 0
    moved = names[1:] + names[:1]
    found = {s.key: s for s in kind.scores(x, moved, data, Scoring()).scores}
    assert found["sliced_wasserstein"].value > 3 * found["sliced_wasserstein"].beside["floor"]
    parts = [found[f"classes.{n}.sliced_wasserstein"] for n in data.class_names]
    mean = sum(s.value for s in parts) / 3
    assert found["sliced_wasserstein"].value == pytest.approx(mean)
    interval = sum(s.interval**2 for s in parts) ** 0.5 / 3
    assert found["sliced_wasserstein"].interval == pytest.approx(interval)
