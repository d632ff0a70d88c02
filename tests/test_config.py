import json

import pytest

from denoising_diffusion import tables
from denoising_diffusion.config import Facts, RunConfig, TrainingConfig
from denoising_diffusion.recipes import RECIPES, recipe
from denoising_diffusion.strict_json import first_difference, merge, read_config, to_json


@pytest.mark.parametrize("name", RECIPES)
def test_json_both_ways_is_the_identity(name):
    config = recipe(name)
    assert read_config(RunConfig, json.loads(to_json(config))) == config


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"trainig": {}}, "unknown key trainig; known are recipe, data"),
        ({"training": {"epoch": 3}}, "unknown key training.epoch"),
        ({"training": {"epochs": "3"}}, "training.epochs must be int, got '3'"),
        ({"training": {"epochs": True}}, "training.epochs must be int, got True"),
        ({"training": {"epochs": 0}}, "epochs must be at least 1, got 0"),
        (
            {"training": {"loss": "median"}},
            "training.loss must be one of mse, mae, got 'median'",
        ),
        ({"training": {"learning_rate": -1.0}}, "learning_rate must lie in"),
        ({"training": {"label_dropout": 2.0}}, "label_dropout must lie in"),
        ({"training": {"ema_decay": 1.0}}, "ema_decay must lie in"),
        (
            {"training": {"max_grad_norm": 0.0}},
            "max_grad_norm must be a finite number above 0, got 0",
        ),
        (
            {"network": {"kind": "vit"}},
            "network.kind must be one of unet, film-unet, mlp, super-resolution, got 'vit'",
        ),
        ({"sampling": {"eta": 2.0}}, "eta must lie in"),
        ({"sampling": {"steps": 1000}}, "sampling.steps must be at most schedule.timesteps, 100"),
        ({"data": {"name": "digitz"}}, "data.name must be one of digits.*did you mean digits"),
        ({"sampling": {"sampler": "dpm"}}, "sampler must be one of ddpm.*got 'dpm'"),
        ({"sampling": {"num": 0}}, "num must be at least 1, got 0|num must lie in 1"),
        ({"training": {"averages": ["ewma-3"]}}, "training.averages must be of ema-NUMBER"),
        ({"training": {"learning_rate": float("nan")}}, "learning_rate must lie in"),
        ({"sampling": {"guidance_scale": float("nan")}}, "guidance_scale must be a finite number"),
        ({"format_version": 1}, "has format version 1, this program reads 2; train it again"),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_name_of_its_key(change, text):
    base = json.loads(to_json(recipe("digits")))
    with pytest.raises(ValueError, match=text):
        read_config(RunConfig, merge(base, change))


FACTS = {
    "kind": "points", "shape": [2], "class_names": [], "shift": [0.0], "scale": [1.0],
    "num_train": 3, "fingerprint": "", "name": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("clip", "found"),
    [
        ([-1.0, 1.0], (-1.0, 1.0)),
        ([-1, 1], (-1.0, 1.0)),
        ([[0.0, -2], [1.0, 2.0]], ((0.0, -2.0), (1.0, 2.0))),
        ([-1.0, [1.0, 2.0]], (-1.0, (1.0, 2.0))),
    ],
)
def test_the_range_of_the_data_is_a_number_or_one_per_column(clip, found):
    facts = read_config(Facts, {**FACTS, "clip": clip})
    assert (facts.clip, facts.columns) == (found, ())
    assert read_config(Facts, json.loads(to_json(facts))) == facts


@pytest.mark.parametrize(
    ("clip", "text"),
    [
        ([-1.0], "clip must be 2 values"),
        (["a", 1.0], r"clip\[0\] must be float, got 'a'"),
        ([[0.0, "b"], 1.0], r"clip\[0\]\[1\] must be float, got 'b'"),
        ([{}, 1.0], r"clip\[0\] must be float, got {}"),
        ([None, 1.0], r"clip\[0\] must be float, got None"),
        (5, "clip must be a list, got 5"),
    ],
)
def test_another_range_is_refused(clip, text):
    with pytest.raises(ValueError, match=text):
        read_config(Facts, {**FACTS, "clip": clip})


def test_a_missing_key_is_named():
    base = json.loads(to_json(recipe("digits")))
    del base["data"]["name"]
    with pytest.raises(ValueError, match="data.name must be a name, or an object with one"):
        read_config(RunConfig, base)


def test_another_kind_of_network_replaces_the_whole_object():
    base = json.loads(to_json(recipe("spiral")))
    merged = merge(base, {"network": {"kind": "unet", "model_channels": 8}})
    assert merged["network"] == {"kind": "unet", "model_channels": 8}


def test_the_first_difference_is_named():
    a, b = TrainingConfig(), TrainingConfig(batch_size=64)
    assert first_difference(a, a) is None
    assert first_difference(a, b) == "batch_size"


def test_an_unknown_recipe_is_refused():
    with pytest.raises(
        ValueError, match="recipe must be one of digits, .*got 'digit'; did you mean digits"
    ):
        recipe("digit")


def test_options_are_read_against_the_signature_where_they_are_built():
    with pytest.raises(ValueError, match="data digits takes no path; it takes seed"):
        tables.bound("data", {"name": "digits", "path": "x.csv"})
    with pytest.raises(ValueError, match="network mlp takes no hiden; it takes hidden"):
        tables.bound("network", {"kind": "mlp", "hiden": 3})
    with pytest.raises(ValueError, match=r"network\.hidden must be int, got '3'"):
        tables.bound("network", {"kind": "mlp", "hidden": "3"})
    network = tables.bound("network", {"kind": "mlp", "hidden": 8})((2,), 10, None)
    assert network.in_dim == 2


def test_a_name_can_be_registered_once(monkeypatch):
    monkeypatch.setitem(tables.TABLES, "weight", dict(tables.TABLES["weight"]))
    tables.register("weight", "twice", lambda log_snr: 2 + 0 * log_snr)
    assert tables.bound("weight", "twice")(1.0) == 2
    with pytest.raises(ValueError, match="name 'twice' of table weight is taken"):
        tables.register("weight", "twice", abs)
    with pytest.raises(ValueError, match="table must be one of network"):
        tables.register("networks", "x", abs)
    with pytest.raises(TypeError, match="target must be callable, got int 3"):
        tables.register("weight", "x", 3)


def test_a_table_is_never_a_path_of_the_users():
    for name in ("os:system", "denoising_diffusion.nn.mlp:MLP", "../mine.py"):
        with pytest.raises(
            ValueError, match="network must be one of unet, film-unet, mlp, super-resolution, got"
        ):
            tables.bound("network", {"kind": name})
