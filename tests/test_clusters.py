"""data.clusters: what the network is told instead of a class, and samples in their shares."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.cli import main
from denoising_diffusion.config import Facts
from denoising_diffusion.data import clustered, in_proportion, whole
from denoising_diffusion.data.rows import in_memory
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.run import Run
from denoising_diffusion.run.prepare import facts_of, learned, load_data

SIZES = (40, 10, 30, 20)
PLACES = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])


def heaps(width=2):
    """Four heaps far apart, of 40, 10, 30 and 20 rows, in any order, and which heap each is of."""
    own = torch.repeat_interleave(torch.arange(4), torch.tensor(SIZES))
    own = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(1))]
    x = torch.zeros(len(own), width)
    x[:, :2] = PLACES[own]
    noise = torch.Generator().manual_seed(2)
    return x + 0.1 * torch.randn(x.shape, generator=noise), own


@pytest.mark.parametrize("width", [2, 70])
def test_heaps_far_apart_are_the_clusters_and_the_largest_is_the_first(width):
    x, own = heaps(width)
    held = PLACES + 0.5 if width == 2 else torch.nn.functional.pad(PLACES, (0, width - 2))
    found = clustered(in_memory("heaps", "points", (x,), (held,), (held[:1],)), 4)
    assert found.class_names == ()
    assert found.clusters == ((0, 0.4), (0, 0.3), (0, 0.2), (0, 0.1))
    rank = torch.tensor([1, 4, 2, 3])  # of the heaps by size
    seen, labels = whole(found.train)
    assert torch.equal(seen, x)
    assert torch.equal(labels, rank[own])
    assert whole(found.validation)[1].tolist() == rank.tolist()
    assert whole(found.test)[1].tolist() == [1]
    again = clustered(in_memory("heaps", "points", (x,), (held,)), 4)
    assert torch.equal(whole(again.train)[1], labels)


def test_classes_are_cut_into_clusters_of_their_own():
    x, own = heaps()
    of = own % 2  # the first class is the heaps of 40 and 30, the second those of 10 and 20
    held = PLACES, torch.tensor([1, 1, 0, 0])  # by place alone they would be others
    data = in_memory("heaps", "points", (x, of), held, class_names=("a", "b"))
    found = clustered(data, 3)
    assert found.class_names == ("a", "b")
    assert found.clusters == ((1, 0.4), (1, 0.3), (2, 0.3))
    assert torch.equal(whole(found.train)[1], torch.tensor([1, 3, 2, 3])[own])
    assert whole(found.validation)[1].tolist() == [3, 3, 2, 2]
    assert facts_of(data).clusters == ()
    assert facts_of(found).clusters == found.clusters
    assert found.without_labels().clusters == ()


def kind_of(clusters, names=()):
    limits = (-1.0, 1.0)
    return Images(
        Facts("images", (1, 8, 8), names, (0.0,), (1.0,), limits, 100, "0", "x", clusters=clusters)
    )


def test_a_class_is_drawn_as_its_clusters_in_their_shares():
    clusters = ((1, 0.3), (1, 0.1), (2, 0.25), (2, 0.25), (2, 0.1))
    kind = kind_of(clusters, ("a", "b"))
    labels = kind.label_rows((), 4000)
    assert kind.label_names(labels) == ["a", "b"] * 2000
    drawn = labels.bincount().tolist()
    assert drawn == pytest.approx([0, 1500, 500, 833, 833, 333], abs=4)
    assert kind.label_names(kind.label_rows(("b", "none", "a"), 5)) == [
        "b",
        "none",
        "a",
        "b",
        "none",
    ]
    assert torch.equal(kind.label_rows((), 9), labels[:9])
    free = kind_of(((0, 0.75), (0, 0.25)))
    assert free.label_names(free.label_rows((), 8)) is None
    assert free.label_rows((), 400).bincount().tolist() == [0, 300, 100]
    assert free.label_rows(("none",), 3).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="this run has no classes"):
        free.label_rows(("1",), 3)


def test_the_larger_a_class_the_more_clusters_and_none_of_a_few_rows():
    x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    own = (torch.arange(1000) >= 700).long()
    data = in_memory("two", "points", (x, own), (x, own), class_names=("a", "b"))
    # D'Hondt: 700 and 300 rows share seven clusters as five and two.
    assert [k for k, _ in clustered(data, 7).clusters] == [1] * 5 + [2] * 2
    assert [k for k, _ in clustered(data, 1000).clusters] == [1] * 35 + [2] * 15
    three = torch.arange(1000) % 3
    data = in_memory("few", "points", (x, three), (x, three), class_names=("a", "b", "c"))
    assert clustered(data, 2).clusters == ((1, 0.334), (2, 0.333), (3, 0.333))


def test_rows_that_are_equal_are_one_place():
    x = torch.repeat_interleave(PLACES, 50, 0)
    data = in_memory("equal", "points", (x,), (x,))
    for clusters in (4, 10):
        assert clustered(data, clusters).clusters == ((0, 0.25),) * 4
    one = in_memory("one", "points", (x[:1],), (x[:1],))
    assert clustered(one, 2).clusters == ((0, 1.0),)


def test_a_class_that_training_has_not_is_told_as_none():
    x, _ = heaps()
    first, other = torch.zeros(100, dtype=torch.int64), torch.ones(100, dtype=torch.int64)
    data = in_memory("lost", "points", (x, first), (x, other), class_names=("a", "b"))
    found = clustered(data, 3)
    assert whole(found.validation)[1].tolist() == [0] * 100
    kind = kind_of(found.clusters, ("a", "b"))
    assert kind.label_rows(("b",), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("clusters", [1, 1001])
def test_too_few_or_too_many_are_refused(clusters):
    x, _ = heaps()
    with pytest.raises(ValueError, match=rf"data.clusters must lie in 2..1000, got {clusters}"):
        clustered(in_memory("heaps", "points", (x,), (x,)), clusters)
    for wrong in ("many", [3], {}, 2.0, True):
        with pytest.raises(TypeError, match=r"data\.clusters must be an integer, got"):
            clustered(in_memory("heaps", "points", (x,), (x,)), wrong)


@pytest.mark.parametrize("shares", [(0.4, 0.3, 0.2, 0.1), (0.5, 0.0, 0.5), (1.0,), (1e-3, 0.999)])
def test_every_beginning_holds_the_classes_in_their_shares(shares):
    labels = in_proportion(shares, 3000)
    assert torch.equal(labels[:77], in_proportion(shares, 77))
    counts = torch.nn.functional.one_hot(labels - 1, len(shares)).cumsum(0)
    k = torch.arange(1, 3001)[:, None]
    off = (counts - k * torch.tensor(shares)).abs().amax(1)
    # Any interval of [0, 1) holds its share of the first k multiples to within so many.
    assert bool((off <= 2 + k[:, 0].log2()).all())
    assert off.max() < 4 < math.sqrt(3000) / 4  # what drawing at random would miss by
    assert not bool((labels == 2).any()) or shares[1] > 0


def test_shares_that_are_none_are_refused():
    for shares in ((), (0.0, 0.0), (-1.0, 2.0)):
        with pytest.raises(ValueError, match="shares"):
            in_proportion(shares, 3)
    assert in_proportion((3, 1), 0).shape == (0,)


@pytest.fixture(scope="module", params=[False, True], ids=["clusters", "of classes"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    small = {
        "data": {"labels": request.param, "clusters": 23},
        "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
        "schedule": {"timesteps": 10},
        "training": {"warmup_steps": 5, "precision": "float32", "epochs": 2},
        "sampling": {"steps": 4, "num": 60, "guidance_scale": 1.5},
    }
    (folder / "small.json").write_text(json.dumps(small))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(warnings, "showwarning", warnings.showwarning)
        code = ddpm("train", "digits", "--config", "small.json", "--out", "run")
    assert code == 0
    return Run(folder / "run")


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def test_a_run_is_told_clusters_and_is_scored_as_any(run):
    data = learned(run.config, load_data(run.config.data))
    names = data.class_names
    assert run.facts.class_names == names
    assert run.facts.clusters == data.clusters
    assert run.model().denoise_fn.num_classes == 23
    line = json.loads((run.path / "evaluations.jsonl").read_text().splitlines()[-1])
    scores = {s["key"]: s["value"] for s in line["scores"]}
    assert (scores["label_agreement"] is None) == (not names)
    assert scores["fld"] > 0
    with np.load(next(run.samples.glob("evaluation-*.npz"))) as file:
        assert ("labels" in file) == bool(names)
        if names:
            assert file["labels"].tolist() == [str(i % 10) for i in range(60)]


def test_it_is_sampled_resumed_distilled_and_filled(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    label = ["--label", 3] if run.kind.num_classes else []
    out = tmp_path / "one.npz"
    assert ddpm("sample", run.path, *label, "--num", 3, "--out", out) == 0
    strange = "x" if run.kind.num_classes else "3"
    assert ddpm("sample", run.path, "--label", strange, "--out", tmp_path / "no.npz") == 2
    assert "unknown label" in capsys.readouterr().err
    assert ddpm("distill", run.path, "--epochs", 1, "--out", tmp_path / "fast") == 0
    assert Run(tmp_path / "fast").facts.clusters == run.facts.clusters
    Image.new("L", (8, 8), 255).save(tmp_path / "8.png")
    fill = ["--inpaint", tmp_path / "8.png", "--mask", tmp_path / "8.png"]
    assert ddpm("sample", run.path, *fill, "--out", tmp_path / "filled.png") == 0
    assert ddpm("sample", run.path, "--between", 1, 2, "--out", tmp_path / "between.png") == 0


def test_the_likelihood_of_a_cluster_is_not_that_of_the_data(run, capsys):
    assert ddpm("evaluate", run.path, "--likelihood", "--num", 4) == 2
    assert "whose likelihood is not that of the data" in capsys.readouterr().err
