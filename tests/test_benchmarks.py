import measuring as m
import pytest
import samplers
import speed
import speed_tables
import time_to_quality


def test_ratios_are_taken_within_a_round():
    # A machine that halves its speed in every other round changes no ratio.
    slow = [1.0, 2.0, 1.0, 2.0, 1.0]
    assert m.ratios([3 * s for s in slow], slow) == (3, 3, 3)
    assert m.spread([4.0, 1.0, 3.0, 2.0, 5.0]) == (2, 3, 4)
    assert m.spread([7.0]) == (7, 7, 7)


def test_every_call_takes_every_turn_and_the_order_alternates():
    seen = []
    # They take no time worth telling, so that the first two calls of each find out how often.
    calls = {name: lambda name=name: seen.append(name) or m.time.sleep(0.06) for name in "abc"}
    times = m.in_turn(calls, 3, say=lambda _: None)
    assert "".join(seen) == "aabbcc" + "abc" + "cba" + "abc"
    assert all(len(rounds) == 3 and min(rounds) >= 0.06 for rounds in times.values())


def test_a_line_that_was_cut_off_is_made_again(tmp_path):
    file = tmp_path / "points.jsonl"
    m.add_line(file, {"a": 1})
    file.write_text(file.read_text() + '{"a": 2, "b"')
    assert m.read_lines(file) == [{"a": 1}]
    m.add_line(file, {"a": 3})
    assert m.read_lines(file) == [{"a": 1}, {"a": 3}]


def test_only_what_stands_between_the_marks_of_a_page_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n<!-- x -->\nold\n<!-- end of x -->\nB\n")
    for _ in range(2):
        m.into_page(page, "x", "new")
        assert page.read_text() == "# A\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nB\n"
    with pytest.raises(SystemExit, match="has no lines <!-- y -->"):
        m.into_page(page, "y", "new")


def test_the_front_is_what_nothing_beats_in_both():
    points = [{"cost": c, "distance": d} for c, d in ((5, 3), (1, 9), (5, 4), (9, 3), (10, 1))]
    assert [p["cost"] for p in samplers.front(points, "cost")] == [1, 5, 10]


def test_the_time_to_a_distance_lies_on_a_power_law():
    # distance = 32 / seconds^(3/2), seen at 1, 4 and 16 seconds
    points = [{"seconds": s, "distance": 32 * s**-1.5} for s in (16.0, 1.0, 4.0)]
    assert time_to_quality.reached(points, 32 / 27) == pytest.approx(9, rel=1e-12)
    assert time_to_quality.reached(points, 40) == 1
    assert time_to_quality.reached(points, 0.1) is None


def test_the_gradient_costs_twice_the_answer_but_for_what_needs_none():
    # The first convolution and the first layer of the times have no input that wants a gradient.
    forward, training = speed.flops("film-unet")
    stem, times = 2 * 14 * 14 * 4 * 32 * 3 * 3, 2 * 64 * 64
    assert training == 3 * forward - stem - times


@pytest.mark.parametrize(("dtype", "how"), [("float32", "channels-last"), ("bfloat16", "eager")])
def test_other_ways_agree_with_float32(dtype, how):
    found = speed.agrees("film-unet", dtype, how)
    assert 0 < found["answer"] < speed.TOLERANCES[dtype][0]


def test_a_way_that_disagrees_ends_the_benchmark(monkeypatch):
    monkeypatch.setitem(speed.TOLERANCES, "bfloat16", (1e-6, 1e-6))
    with pytest.raises(SystemExit, match=r"film-unet, bfloat16, eager: answer and gradient are"):
        speed.agrees("film-unet", "bfloat16", "eager")


def test_shares_of_the_matrix_rate_follow_from_times(tmp_path):
    # A network of as many operations as the product, in twice its time: half the rate.
    work = 2 * m.SIDE**3
    networks = {
        name: {"parameters": 1, "forward": work, "training": work}
        for name in ("film-unet", speed_tables.TO)
    }
    seconds = {"film-unet": [2.0, 2.0], speed_tables.TO: [4.0, 8.0], speed_tables.MATRIX: [1.0, 3]}
    run = {"what": "training", "dtype": "float32", "batch": 1, "seconds": seconds}
    found = {"networks": networks, "runs": [run], "quick": True, "rounds": 2, "where": m.where()}
    speed_tables.plot(found | {"runs": [run, run | {"what": "sampling"}]}, tmp_path / "speed.png")
    row = next(r for r in speed_tables.rates(found).splitlines() if r.startswith("| film-unet"))
    assert row.endswith("| 3.00 (2.50 … 3.50) | 50% |")


def test_plots_and_tables_of_points_are_made(tmp_path):
    request = {"sampler": "ddim", "steps": 2, "times": "karras"}
    found = [
        {"request": request, "evaluations": n, "distance": 9 / n, "interval": 1} for n in (1, 3)
    ]
    found = [p | {"seconds_per_10000": 7.0 * p["evaluations"]} for p in found]
    samplers.plot(found, 1.0, tmp_path / "pareto.png")
    assert samplers.table(found).endswith("| ddim | 2 | karras | 3 | **3.00 ± 1.00** | – | 21 |")
    points = [
        {"arm": name, "seen": 9, "seconds": s, "distance": 72 / s, "interval": 1}
        | {"sampling_seconds": 1}
        for name, speed in (("ours", 1), ("diffusers", 4))
        for s in (3 * speed, 12 * speed)
    ]
    time_to_quality.plot(points, ["ours", "diffusers"], tmp_path / "time.png")
    table = time_to_quality.tables(points, ["ours", "diffusers"])
    assert table.endswith("| diffusers | 12 s (3.1 × ours) | 14 s |")
    assert {f.name for f in tmp_path.iterdir()} == {"pareto.png", "time.png"}
