"""Every command refuses what it cannot use in one line: the option, the value, what it takes."""

import warnings

import pytest

from denoising_diffusion.cli import main
from fuzz_runs import make

NO_COUNT = ["0", "-1", "many", "1.5", ""]
NO_SHARE = ["-0.1", "1.1", "nan", "inf", "half", ""]
NO_SEED = ["-1", str(2**63), "x", "1.5"]
CHOICES = ["nonsense", "3"]

TRAIN = {
    "--epochs": NO_COUNT,
    "--batch-size": NO_COUNT,
    "--minutes": ["0", "-1", "nan", "inf", "x"],
    "--seed": ["-1", "x", "1.5"],
    "--threads": NO_COUNT,
    "--loss": CHOICES,
    "--precision": CHOICES,
    "--device": CHOICES,
    "--config": ["nowhere.json", "mine", "text.txt", "list.json", "deep.json"],
    "--training.learning-rate": ["0", "-1", "nan", "inf", "fast", "10"],
    "--training.label-dropout": NO_SHARE,
    "--training.ema-decay": [*NO_SHARE, "1"],
    "--training.warmup-steps": ["-1", "x", "1.5"],
    "--training.prediction": [*CHOICES, '{"name": "noise", "a": 1}', "{}", '{"name": 3}'],
    "--training.times": [*CHOICES, '{"name": "uniform", "mean": 1}', '{"name": "x"}'],
    "--training.weight": [*CHOICES, '{"name": "min-snr", "gama": 1}'],
    "--training.snapshot": NO_COUNT,
    "--training.averages": ["power", "power-x", "x-0.1"],
    "--training.max-grad-norm": ["0", "-1", "nan", "inf", "x"],
    "--schedule.timesteps": NO_COUNT,
    "--schedule.kind": CHOICES,
    "--network.kind": CHOICES,
    "--data.name": CHOICES,
    "--sampling.sampler": CHOICES,
    "--sampling.steps": [*NO_COUNT, "100000"],
    "--sampling.num": NO_COUNT,
    "--sampling.guidance-scale": ["-1", "nan", "inf", "x"],
    "--nonsense": ["3"],
}
SAMPLE = {
    "--num": [*NO_COUNT, "1" + "0" * 30],
    "--seed": NO_SEED,
    "--steps": [*NO_COUNT, "5"],
    "--sampler": CHOICES,
    "--eta": [*NO_SHARE, "2"],
    "--guidance-scale": ["-1", "nan", "inf", "x"],
    "--guidance-interval": ["1", "x"],
    "--autoguidance": ["-1", "nan", "inf", "x", "2"],
    "--threshold": [*NO_SHARE, "0"],
    "--label": ["9", "x", "-1", "None"],
    "--average": ["power-0.1", "none", "x"],
    "--out": ["x.jpg", "x", "x.gif"],
    "--gif": ["x.png", "x"],
    "--gif-of": CHOICES,
    "--strip": CHOICES,
    "--grid": CHOICES,
    "--device": ["tpu", "cuda"],
    "--threads": NO_COUNT,
    "--nonsense": ["3"],
}
EVALUATE = {
    "--num": [*NO_COUNT, "17", "1"],
    "--seed": NO_SEED,
    "--steps": [*NO_COUNT, "5"],
    "--sampler": CHOICES,
    "--label": ["9", "x"],
    "--average": ["power-0.1", "x"],
    "--lenet-seeds": NO_COUNT,
    "--data": ["nowhere", "text.txt", "points", "x.csv"],
    "--device": ["tpu", "cuda"],
    "--threads": NO_COUNT,
}
RESUME = {"--epochs": NO_COUNT, "--threads": NO_COUNT, "--device": ["tpu", "cuda"]}
PATHS = ("--out", "--gif", "--data")
PLACES = ["nowhere", "text.txt", "mine", "small.json", ""]

CASES = [
    *(
        ["train", "numbers-unet", "--data", "mine", f"{k}={v}"]
        for k, vs in TRAIN.items()
        for v in vs
    ),
    *(["sample", "run", f"{k}={v}"] for k, vs in SAMPLE.items() for v in vs),
    *(["evaluate", "run", f"{k}={v}"] for k, vs in EVALUATE.items() for v in vs),
    *(["resume", "run", f"{k}={v}"] for k, vs in RESUME.items() for v in vs),
    *([c, place] for c in ("info", "sample", "evaluate", "resume", "report") for place in PLACES),
    *(
        ["train", "numbers-unet", "--data", place]
        for place in ("nowhere", "text.txt", "small.json")
    ),
    *(["train", recipe] for recipe in ("digitz", "", "run", "points")),
    ["train", "numbers-unet", "--data", "mine", "--training.averages=power-9"],
    ["sample", "run", "--raw-weights", "--average=ema"],
    ["sample", "run", "--label=1", "--label", "2"],
    ["sample", "run", "--threads=100000"],
    ["sample", "run", "--out", ""],
    ["sample", "run", "--between", "", "1"],
    ["train", "numbers-unet", "--data=mine", "--data="],
    ["info", "a name\nof two lines\x1b[31m"],
    *([c] for c in ("info", "sample", "evaluate", "resume", "report")),
    *([c, "run", "extra"] for c in ("info", "sample", "evaluate", "resume")),
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        make(folder)
    (folder / "text.txt").write_text("no data\n")
    (folder / "list.json").write_text("[]")
    (folder / "deep.json").write_text("[" * 100_000)
    return folder


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_a_wrong_command_is_refused_in_one_line(arguments, workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    before = sorted(workplace.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, error = capsys.readouterr()
    (line,) = error.strip().splitlines()
    assert (end.value.code, out) == (2, "")
    assert line.startswith("ddpm: error: ")
    assert "denoising_diffusion" not in line
    assert sorted(workplace.rglob("*")) == before
    option, equals, value = arguments[-1].partition("=")
    if equals:
        named = option.strip("-").split(".")[-1]
        text = line.replace("_", "-").replace("number of classifiers", "lenet-seeds")
        assert named in text or (value in line and option in PATHS)
        # A choice with options is refused by the option that is wrong, which stands inside.
        assert value in line or value.startswith("{") or option == "--nonsense"


def test_the_table_is_long():
    assert len(CASES) >= 200
