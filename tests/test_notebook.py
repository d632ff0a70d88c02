"""What notebooks show, and who is told of the training."""

import dataclasses
import io
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion import Schedule, Step, cosine_beta_schedule, inline
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.train import resume_run, train_run


def tiny(**training):
    config = recipe("spiral")
    return dataclasses.replace(
        config,
        data={**config.data, "size": 300},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(
            config.training, epochs=3, batch_size=100, warmup_steps=0, **training
        ),
        sampling=dataclasses.replace(config.sampling, num=60),
    )


class Balanced(HTMLParser):
    """Fails on tags that are not closed, and keeps those that were opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.seen = [], []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_schedule_is_drawn_through_its_own_values():
    schedule = Schedule.from_betas(cosine_beta_schedule(10))
    html = schedule._repr_html_()
    assert Balanced(html).seen.count("polyline") == 2
    alpha, sigma = (
        np.array([[float(v) for v in pair.split(",")] for pair in line.split()])
        for line in re.findall(r'points="([^"]*)"', html)
    )
    for drawn, exact in ((alpha, schedule.alpha), (sigma, schedule.sigma)):
        assert len(drawn) == 11
        assert np.allclose(np.diff(drawn[:, 0]), np.diff(drawn[:, 0])[0], atol=0.11)
        height = (drawn[:, 1] - drawn[:, 1].min()) / np.ptp(drawn[:, 1])
        values = exact.numpy()
        assert np.allclose(1 - height, (values - values.min()) / np.ptp(values), atol=1e-3)


def test_a_long_schedule_is_thinned_and_ends_at_its_end():
    html = Schedule.from_betas(cosine_beta_schedule(5000))._repr_html_()
    assert len(html) < 10_000
    assert re.findall(r'points="[^"]* 308.0,', html)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_of_images_holds_their_pixels(channels):
    x = torch.linspace(-1, 1, 2 * channels * 16).reshape(2, channels, 4, 4)
    html = Step(0.5, x, -x)._repr_html_()
    pictures = [
        np.asarray(Image.open(io.BytesIO(b64decode(found))))
        for found in re.findall(r"base64,([^\"]+)", html)
    ]
    assert Balanced(html).seen.count("img") == 2
    for picture, images in zip(pictures, (x, -x), strict=True):
        assert picture.shape[:2] == (48, 96)
        small = picture[::12, ::12].reshape(4, 8, channels)
        for i, image in enumerate(images):
            levels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            assert np.array_equal(small[:, 4 * i : 4 * i + 4], levels)


def test_a_step_of_points_and_of_anything_else():
    points = Step(3.0, torch.tensor([[2.0, -2.0], [0.0, 0.0]]), torch.zeros(2, 2))._repr_html_()
    assert Balanced(points).seen.count("circle") == 4
    assert '<circle cx="160.0" cy="160.0"' in points
    assert "both axes to 2" in points
    other = Step(3.0, torch.zeros(2, 5), torch.zeros(2, 5))._repr_html_()
    assert "t = 3: x and x_start, (2, 5)" in other
    empty = Step(3.0, torch.zeros(0, 2), torch.zeros(0, 2))._repr_html_()
    assert "circle" not in empty
    strange = Step(1.0, torch.full((1, 2), torch.nan), torch.full((1, 2), torch.inf))
    Balanced(strange._repr_html_())


def test_curves_escape_their_names():
    html = inline.curves("<b>", {'"<script>': [1.0, 1.0]}, (0, 1))
    assert "<script" not in html
    assert "<b>" not in html


def test_a_run_shows_what_it_is_and_nothing_that_it_holds_is_executed(tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    train_run(tiny(), folder)
    run = Run(folder)
    html = run._repr_html_()
    assert Balanced(html).seen == ["div", "strong", "p", "img", "pre"]
    assert "spiral: 300 points of spiral, 2; 114 parameters; epoch 3 of 3" in html
    assert "sliced Wasserstein" in html
    assert "<img src=x" not in html
    (folder / "evaluation.txt").write_text("</pre><script>alert(1)</script>")
    assert "<script" not in Run(folder)._repr_html_()


def test_what_is_no_run_or_a_damaged_one_says_so(tmp_path):
    assert "is no run folder" in Run(tmp_path / "none")._repr_html_()
    (tmp_path / "config.json").write_text("{}")
    assert "format version" in Run(tmp_path)._repr_html_()


def test_one_callable_is_told_of_every_line_of_the_history(tmp_path):
    told = []
    train_run(tiny(), tmp_path / "run", evaluate=False, on_log=lambda *line: told.append(line))
    rows = Run(tmp_path / "run").history.read()
    assert told == [(row["step"], row) for row in rows]
    assert [step for step, _ in told] == [3, 6, 9]
    resume_run(tmp_path / "run", epochs=4, evaluate=False, on_log=lambda *line: told.append(line))
    assert [step for step, _ in told] == [3, 6, 9, 12]


def test_what_it_raises_ends_the_training_which_can_go_on(tmp_path):
    def full(step, record):
        if step == 6:
            raise OSError("the tracker is gone")

    with pytest.raises(OSError, match="tracker"):
        train_run(tiny(), tmp_path / "run", evaluate=False, on_log=full)
    resume_run(tmp_path / "run", evaluate=False)
    train_run(tiny(), tmp_path / "other", evaluate=False)
    one, other = (Run(tmp_path / name) for name in ("run", "other"))
    assert one.history.read() == other.history.read()
    assert one.model_file.read_bytes() == other.model_file.read_bytes()
    with pytest.raises(TypeError, match="on_log"):
        train_run(tiny(), tmp_path / "third", on_log=3)
