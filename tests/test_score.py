import json
import math

import numpy as np
import pytest
import torch

from denoising_diffusion.metrics import Score, memorisation, table, to_json

NAN = float("nan")

SCORES = [
    Score("fld", "Fréchet distance", 1.7126, 0.6104, {"floor": 1.05351, "ceiling": 177.04}),
    Score("fld_by_classifier", "  of each classifier", [1.7126, 2.0, NAN]),
    Score("label_agreement", "label agreement", 0.98552, None, {"on_real_images": None}, ".1%"),
    Score("memorisation", "nearest training image", NAN, form=".2f"),
    Score("class_proportions", "", [0.25, 0.75]),
    Score("classes.spiral.mean_distance", "  spiral, distance", 0.00231, form=".4f"),
    Score("classes.spiral.tv", "  spiral, TV", 0.5, NAN, {"classes.spiral.fresh_tv": 0.03}, ".4f"),
]
NOTE = {"num_samples": 898, "parameters": 622_865, "sampler": "ddim", "eta": 0.5, "seed": None}


def test_the_table():
    assert table(SCORES, NOTE).splitlines() == [
        "number                  value",
        "Fréchet distance        1.713 ± 0.610 (95 %)",
        "  floor                 1.054",
        "  ceiling               177.040",
        "  of each classifier    1.713, 2.000, –",
        "label agreement         98.6%",
        "  on real images        –",
        "nearest training image  –",
        "  spiral, distance      0.0023",
        "  spiral, TV            0.5000 ± – (95 %)",
        "    fresh tv            0.0300",
        "num samples             898",
        "parameters              622,865",
        "sampler                 ddim",
        "eta                     0.5",
        "seed                    –",
    ]
    assert table([]) == "number  value"


def test_the_json():
    found = to_json(SCORES, NOTE)
    assert found == {
        "fld": 1.7126,
        "fld_interval": 0.6104,
        "floor": 1.05351,
        "ceiling": 177.04,
        "fld_by_classifier": [1.7126, 2.0, None],
        "label_agreement": 0.98552,
        "on_real_images": None,
        "memorisation": None,
        "class_proportions": [0.25, 0.75],
        "classes": {
            "spiral": {"mean_distance": 0.00231, "tv": 0.5, "tv_interval": None, "fresh_tv": 0.03}
        },
        **NOTE,
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found)[:3] == ["fld", "fld_interval", "floor"]
    assert to_json([]) == {}


def test_infinite_numbers_and_those_of_numpy():
    scores = [Score("a", "a", math.inf), Score("b", "b", np.float64(0.25)), Score("c", "c", 3)]
    assert table(scores) == "number  value\na       –\nb       0.250\nc       3.000"
    assert to_json(scores) == {"a": None, "b": 0.25, "c": 3}


def test_an_undefined_ratio_is_a_dash_and_null():
    pictures = torch.eye(4).repeat(5, 1)  # few, repeated, so that held-out ones are copies
    ratio = memorisation(pictures[:3], pictures, pictures).ratio
    assert math.isnan(ratio)
    score = Score("memorisation_pixels", "ratio", ratio)
    assert table([score]).splitlines()[1] == "ratio   –"
    assert to_json([score]) == {"memorisation_pixels": None}


def test_a_key_stands_once():
    twice = [Score("a", "a", 1.0, 0.1), Score("a_interval", "b", 2.0)]
    nested = [Score("a", "a", 1.0), Score("a.b", "b", 2.0)]
    deep = [Score("a", "a", 1.0), Score("a.b.c", "b", 2.0)]
    for scores, key in (
        (twice, "a_interval"),
        (nested, "a.b"),
        (nested[::-1], "a"),
        (deep, "a.b.c"),
    ):
        with pytest.raises(ValueError, match=f"key '{key}' is given twice"):
            to_json(scores)
    with pytest.raises(ValueError, match="key 'a' is given twice"):
        to_json(twice[:1], {"a": 1})


@pytest.mark.parametrize("show", [table, to_json])
def test_scores_complain(show):
    good = Score("a", "a", 1.0)
    with pytest.raises(TypeError, match="scores must be a Sequence, got NoneType"):
        show(None)
    with pytest.raises(TypeError, match=r"scores\[1\] must be a Score, got tuple"):
        show([good, ("a", "a", 1.0)])
    with pytest.raises(TypeError, match="note must be a Mapping, got list"):
        show([good], [])
    for bad in (
        Score("k", "a", "5"),
        Score("k", "a", [1.0, None, "5"]),
        Score("k", "a", 1.0, 1j),
        Score("k", "a", 1.0, beside={"b": np.zeros(3)}),
    ):
        with pytest.raises(TypeError, match="a number of score k must be a int or float, got"):
            show([bad])
