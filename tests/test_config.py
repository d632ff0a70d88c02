import json

import pytest

from denoising_diffusion.config import RunConfig, TrainingConfig
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
        ({"training": {"loss": "huber"}}, "training.loss must be one of mse, mae, got 'huber'"),
        ({"training": {"learning_rate": -1.0}}, "learning_rate must lie in"),
        ({"training": {"label_dropout": 2.0}}, "label_dropout must lie in"),
        ({"training": {"ema_decay": 1.0}}, "ema_decay must lie in"),
        ({"training": {"max_grad_norm": 0.0}}, "max_grad_norm must be above 0"),
        ({"network": {"kind": "vit"}}, "network.kind must be one of unet, mlp, got 'vit'"),
        ({"sampling": {"eta": 2.0}}, "eta must lie in"),
        ({"sampling": {"steps": 1000}}, "sampling.steps must be at most schedule.timesteps, 100"),
        ({"data": {"path": "x.csv"}}, "takes no path"),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_name_of_its_key(change, text):
    base = json.loads(to_json(recipe("digits")))
    with pytest.raises(ValueError, match=text):
        read_config(RunConfig, merge(base, change))


def test_a_missing_key_is_named():
    base = json.loads(to_json(recipe("digits")))
    del base["data"]["name"]
    with pytest.raises(ValueError, match=r"missing key data\.name"):
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
    with pytest.raises(ValueError, match="unknown recipe 'digit'; known are digits"):
        recipe("digit")
