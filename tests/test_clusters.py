"""data.clusters: classes found in the data, and samples in their shares."""

import json
import math
import warnings

import numpy as np
import pytest
import torch

from denoising_diffusion.cli import main
from denoising_diffusion.data import clustered, in_proportion, whole
from denoising_diffusion.data.rows import in_memory
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
    assert found.class_names == ("cluster-1", "cluster-2", "cluster-3", "cluster-4")
    assert found.shares == (0.4, 0.3, 0.2, 0.1)
    rank = torch.tensor([1, 4, 2, 3])  # of the heaps by size
    seen, labels = whole(found.train)
    assert torch.equal(seen, x)
    assert torch.equal(labels, rank[own])
    assert whole(found.validation)[1].tolist() == rank.tolist()
    assert whole(found.test)[1].tolist() == [1]
    again = clustered(in_memory("heaps", "points", (x,), (held,)), 4)
    assert torch.equal(whole(again.train)[1], labels)


def test_clusters_take_the_place_of_classes_and_classes_are_left_out_without_them():
    x, own = heaps()
    data = in_memory("heaps", "points", (x, own), (x, own), class_names=("a", "b", "c", "d"))
    assert facts_of(data).shares == ()
    found = clustered(data, 3)
    assert len(found.class_names) == 3
    assert facts_of(found).shares == found.shares
    assert sum(found.shares) == pytest.approx(1)
    assert found.without_labels().shares == ()


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        (1, "data.clusters must lie in 2..1000, got 1"),
        (1001, "data.clusters must lie in 2..1000, got 1001"),
        (101, "number of training rows that differ, 100, got 101"),
    ],
)
def test_too_few_or_too_many_are_refused(clusters, message):
    x, _ = heaps()
    with pytest.raises(ValueError, match=message):
        clustered(in_memory("heaps", "points", (x,), (x,)), clusters)
    with pytest.raises(TypeError, match=r"data\.clusters"):
        clustered(in_memory("heaps", "points", (x,), (x,)), "many")


def test_rows_that_are_equal_are_one_place():
    x = torch.repeat_interleave(PLACES, 9, 0)
    data = in_memory("equal", "points", (x,), (x,))
    assert clustered(data, 4).shares == (0.25,) * 4
    with pytest.raises(ValueError, match=r"rows that differ, 4, got 5"):
        clustered(data, 5)


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


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    small = {
        "data": {"labels": False, "clusters": 7},
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
    return folder / "run"


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def test_a_run_is_trained_sampled_and_scored_as_data_without_classes(run, capsys):
    loaded = Run(run)
    data = learned(loaded.config, load_data(loaded.config.data))
    assert loaded.facts.class_names == data.class_names
    assert loaded.facts.shares == data.shares
    scores = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])
    kept = {s["key"]: s["value"] for s in scores["scores"]}
    assert kept["label_agreement"] is None  # clusters are no digits
    assert kept["fld"] > 0
    with np.load(next(run.glob("samples/evaluation-*.npz"))) as file:
        drawn = [int(str(name).removeprefix("cluster-")) for name in file["labels"]]
    assert drawn == in_proportion(data.shares, 60).tolist()


def test_one_cluster_can_be_asked_for(run, tmp_path):
    out = tmp_path / "one.npz"
    assert ddpm("sample", run, "--label", "cluster-3", "--num", 3, "--out", out) == 0
    with np.load(out) as file:
        assert file["labels"].tolist() == ["cluster-3"] * 3
    assert ddpm("sample", run, "--label", "7", "--num", 3, "--out", tmp_path / "no.npz") == 2


def test_the_likelihood_of_one_cluster_is_not_that_of_the_data(run, capsys):
    assert ddpm("evaluate", run, "--likelihood", "--num", 4) == 2
    assert "has not the classes of this run" in capsys.readouterr().err
