"""Scores of runs in one table."""

import csv
import dataclasses
import io
import re
import statistics

import pytest

from denoising_diffusion.cli import main
from denoising_diffusion.config import Facts
from denoising_diffusion.metrics import Score
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.summary import summary
from denoising_diffusion.run.typeset import as_csv, as_latex, as_markdown, as_text

FACTS = Facts(
    kind="points",
    shape=(2,),
    class_names=(),
    shift=(0.0,),
    scale=(1.0,),
    clip=(-3.0, 3.0),
    num_train=100,
    fingerprint="f" * 64,
    name="a_b|c",
    parameters=1234,
)
REQUEST = {"sampler": "ddim", "steps": 10, "guidance_scale": 1.0, "seed": 0}


def begun(folder, seed=0, name="spiral", **training):
    config = recipe(name)
    training = dataclasses.replace(config.training, seed=seed, **training)
    run = Run(folder)
    run.create(dataclasses.replace(config, training=training, facts=FACTS))
    return run


def scored(run, value, *, interval=0.25, step=5, extra=(), **request):
    scores = [
        Score("fld", "Fréchet distance", value, interval, {"floor": value / 2, "ceiling": 9.0}),
        Score("label_agreement", "label agreement", 0.5 + value / 100, form=".2%"),
        Score("classes.a.fld", "  a", 3.0),
        Score("marginals", "of each column", [1.0, 2.0]),
        *extra,
    ]
    note = {"sampler": "ddim", "steps": 10, "network_evaluations": 20}
    origin = {"step": step, "weights": f"w{step}", "request": {**REQUEST, **request}, "data": "f"}
    run.evaluations.add([s._asdict() for s in scores], note, origin)
    return run


def test_runs_of_several_seeds_are_a_mean_and_their_deviation(tmp_path):
    values = [1.0, 1.5, 3.5]
    runs = [scored(begun(tmp_path / str(i), seed=i), v) for i, v in enumerate(values)]
    (row,) = summary(runs)
    assert row.runs == 3
    fld, floor, agreement = row.numbers
    assert (fld.key, fld.value) == ("fld", 2.0)
    assert fld.deviation == pytest.approx(statistics.stdev(values))
    assert fld.interval is None
    assert (floor.key, floor.value) == ("fld_floor", 1.0)
    assert agreement.value == pytest.approx(0.52)
    about = {"recipe": "spiral", "setting": None, "data": "a_b|c", "parameters": 1234,
             "judge": None, "sampler": "ddim", "steps": 10, "evaluations": 20}  # fmt: skip
    assert row.about == about


def test_a_single_run_has_its_interval_and_rows_say_in_what_they_differ(tmp_path):
    one = scored(begun(tmp_path / "a"), 1.0)
    scored(one, 0.5, guidance_scale=2.0)
    two = scored(begun(tmp_path / "b", learning_rate=0.5), 2.0)
    rows = summary([one, two, Run(tmp_path / "a")])
    assert [(r.runs, r.numbers[0].value, r.numbers[0].interval) for r in rows] == [
        (1, 1.0, 0.25), (1, 0.5, 0.25), (1, 2.0, 0.25),
    ]  # fmt: skip
    rate = recipe("spiral").training.learning_rate
    assert [r.about["setting"] for r in rows] == [
        f"learning_rate {rate}, guidance_scale 1.0",
        f"learning_rate {rate}, guidance_scale 2.0",
        "learning_rate 0.5, guidance_scale 1.0",
    ]


def test_only_the_last_weights_count_and_likelihoods_stand_in_every_row(tmp_path):
    run = scored(scored(begun(tmp_path / "a"), 9.0, step=3), 1.0)
    bits = Score("bits_per_dim", "bits", 2.5, 0.1)
    origin = {"step": 5, "weights": "w5", "likelihood": {"num": 10}, "data": "f"}
    run.evaluations.add([bits._asdict()], {}, origin)
    (row,) = summary([run])
    assert {n.key: n.value for n in row.numbers}["fld"] == 1.0
    assert {n.key: n.interval for n in row.numbers}["bits_per_dim"] == 0.1


def test_scores_that_not_all_share_are_left_out_or_refused(tmp_path):
    extra = [Score("kid", "kernel distance", 0.5)]
    one, two = (
        scored(begun(tmp_path / "a"), 1.0, extra=extra),
        scored(begun(tmp_path / "b", 1), 2.0),
    )
    assert [n.key for n in summary([one])[0].numbers][-1] == "kid"
    assert "kid" not in {n.key for n in summary([one, two])[0].numbers}
    (row,) = summary([one, two], ["label_agreement"])
    assert [n.key for n in row.numbers] == ["label_agreement"]
    with pytest.raises(ValueError, match="scores must be one of fld, label_agreement, got 'kid'"):
        summary([one, two], ["kid"])
    other = begun(tmp_path / "c", name="patterns")
    other.evaluations.add([extra[0]._asdict()], {}, {"step": 1, "weights": "w"})
    with pytest.raises(ValueError, match=r"no score that all runs share: .* has fld, label_agr"):
        summary([two, other])


def test_refusals_name_the_run(tmp_path):
    with pytest.raises(ValueError, match="a has no evaluation yet; make one with ddpm evaluate"):
        summary([begun(tmp_path / "a")])
    with pytest.raises(ValueError, match="at least one run"):
        summary([])
    same = [scored(begun(tmp_path / n), 1.0) for n in "bc"]
    with pytest.raises(ValueError, match="b and .*c are of one configuration and seed"):
        summary(same)


def test_every_form_holds_the_same_numbers(tmp_path):
    runs = [scored(begun(tmp_path / str(i), seed=i), v) for i, v in enumerate([1.0, 2.0])]
    rows = summary(runs)
    text, markdown, latex = as_text(rows), as_markdown(rows), as_latex(rows)
    for form in (text, markdown):
        assert "1.500 ± 0.707" in form
        assert "51.50% ± 0.71%" in form
    assert r"1.500 $\pm$ 0.707" in latex
    assert r"51.50\% $\pm$ 0.71\%" in latex
    assert r"a\_b|c" in latex
    counts = [len(re.findall(r"(?<!\\)&", line)) for line in latex.splitlines() if "\\\\" in line]
    columns = re.search(r"{([lr]+)}", latex)
    assert columns is not None
    assert counts == [len(columns[1]) - 1] * 2
    lines = markdown.splitlines()[:3]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    (row,) = csv.DictReader(io.StringIO(as_csv(rows)))
    assert float(row["fld"]) == 1.5
    assert float(row["fld_deviation"]) == pytest.approx(0.5**0.5, abs=1e-15)
    assert (row["fld_interval"], row["data"], row["runs"]) == ("", "a_b|c", "2")


def test_the_command_prints_a_table_and_refuses_in_one_line(tmp_path, capsys):
    scored(begun(tmp_path / "a"), 1.0)
    with pytest.raises(SystemExit) as end:
        main(["table", str(tmp_path / "a"), "--markdown", "--scores", "fld"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("| recipe | data | parameters |")
    with pytest.raises(SystemExit) as end:
        main(["table", str(tmp_path / "a"), "--latex", "--csv"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "ddpm: error: --latex, --csv and --markdown exclude each other\n"
    )
