"""The page that draws: it does what torch does, and nothing else; looked at in a real browser."""

import json
import time

import numpy as np
import pytest
import torch

from denoising_diffusion import FiLMUNet, UNet, ddim, in_proportion
from denoising_diffusion.data.classes import clusters_of
from denoising_diffusion.export.html import html
from denoising_diffusion.run import Run
from denoising_diffusion.samplers.grids import time_grid
from denoising_diffusion.sampling import denoiser
from test_export import SMALL, T, ddpm, diffusion, enlarged, images, points, signals

EVIL = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>'\"{{7*7}}"


def odd_images():
    return diffusion(UNet.for_data((3, 5, 7), T, None, **SMALL), (3, 5, 7), "x_start")


def metadata(model, kind, names=()):
    return {
        "version": "denoising-diffusion test",
        "class_names": list(names),
        "clip": [-1.0, 1.0],
        "alpha": model.schedule.alpha.tolist(),
        "sigma": model.schedule.sigma.tolist(),
        "config": {
            "facts": {"kind": kind, "name": EVIL},
            "training": {"label_dropout": 0.1},
            "sampling": {"sampler": "ddim", "steps": 6, "guidance_scale": 2.0},
        },
    }


def opened(browser, file):
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(file.resolve().as_uri())
    drawn(browser)


def drawn(browser):
    for _ in range(200):
        if not browser.execute_script("return document.body.dataset.busy"):
            return
        time.sleep(0.05)
    raise AssertionError(browser.get_log("browser"))


def quiet(browser, file):
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {file.resolve().as_uri()}
    assert browser.execute_script("return window.hit") is None


def film_images():
    options = {"model_channels": 8, "channel_multipliers": (1, 2)}
    return diffusion(FiLMUNet.for_data((1, 7, 9), T, 2, **options), (1, 7, 9))


MODELS = {
    "film": (film_images, "images", ("a", "b")),
    "images": (images, "images", ("a", EVIL, "c")),
    "odd": (odd_images, "images", ()),
    "signals": (signals, "signals", ("a", "b")),
    "points": (points, "points", ("a", "b")),
}


@pytest.fixture(scope="module", params=MODELS)
def page(request, tmp_path_factory):
    make, kind, names = MODELS[request.param]
    model = make()
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_bytes(html(model, metadata(model, kind, names), float32=True))
    return model, file, names


@pytest.mark.slow
def test_one_evaluation_and_a_guided_walk_are_those_of_torch(browser, page):
    model, file, names = page
    opened(browser, file)
    off = float(browser.find_element("id", "selftest").get_attribute("data-off"))
    assert 0 < off < 1e-5
    assert browser.find_element("id", "selftest").get_attribute("data-path") == "WebAssembly"
    scale = 2.0 if names else 1.0
    walked = browser.execute_script(
        "const model = JSON.parse(document.getElementById('model').textContent);"
        "const wish = {seed: 3, steps: 5, sampler: 'ddim', label: arguments[0], scale: 2};"
        "const steps = [...walk(model, denoiserOf(model, fastOf(model)), wish)];"
        "return steps.map(s => [s.t, [...s.x], [...s.estimate]]);",
        1 if names else 0,
    )
    assert [t for t, _, _ in walked] == [20, 16, 12, 8, 4, 0]
    states = [torch.tensor(x).view(-1, *model.data_shape) for _, x, _ in walked]
    labels = torch.ones(len(states[0]), dtype=torch.long) if names else None
    denoise = denoiser(model, labels=labels, guidance_scale=scale, clip=(-1.0, 1.0))
    steps = list(ddim(denoise, model.schedule, states[0], [20, 16, 12, 8, 4, 0]))
    for step, state, (_, _, estimate) in zip(steps, states[1:], walked, strict=False):
        torch.testing.assert_close(state, step.x, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            torch.tensor(estimate).view_as(state), step.x_start, rtol=1e-4, atol=1e-4
        )
    quiet(browser, file)


@pytest.mark.slow
def test_the_noise_of_the_page_is_normal_and_each_seed_has_its_own(browser, page):
    _, file, _ = page
    browser.get(file.resolve().as_uri())
    draws = browser.execute_script(
        "return [0, 1].map(s => Array.from({length: 20000}, normals(s)))"
    )
    for x in np.array(draws):
        assert abs(x.mean()) < 4 / 20000**0.5
        assert abs(x.var() - 1) < 4 * (2 / 20000) ** 0.5
        assert abs((x**4).mean() - 3) < 4 * (96 / 20000) ** 0.5
    assert abs(np.corrcoef(draws)[0, 1]) < 4 / 20000**0.5


@pytest.mark.slow
def test_clusters_of_the_page_are_drawn_as_the_library_draws_them(browser, page):
    _, file, _ = page
    browser.get(file.resolve().as_uri())
    clusters = ((1, 0.3), (1, 0.1), (2, 0.25), (2, 0.25), (2, 0.1))
    found = browser.execute_script(
        "const config = {facts: {clusters: arguments[0]}}, model = {count: 500, config};"
        "return [null, 0, 1, 2].map(label => [...labelsOf(model, label)]);",
        clusters,
    )
    shares = [share for _, share in clusters]
    classes = [torch.full((500,), k) for k in range(3)]
    wanted = [in_proportion(shares, 500), *(clusters_of(clusters, k) for k in classes)]
    assert [labels == k.tolist() for labels, k in zip(found, wanted, strict=True)] == [True] * 4


@pytest.mark.slow
def test_times_of_the_page_are_those_of_the_library(browser, page):
    _, file, _ = page
    browser.get(file.resolve().as_uri())
    found = browser.execute_script("return Array.from({length: 100}, (_, i) => gridOf(100, i + 1))")
    assert found == [time_grid(100, steps) for steps in range(1, 101)]


@pytest.mark.slow
def test_fresh_noise_of_ddpm_has_the_deviation_of_the_posterior(browser, page):
    model, file, _ = page
    browser.get(file.resolve().as_uri())
    found = browser.execute_script(
        "const m = JSON.parse(document.getElementById('model').textContent);"
        "const row = t => ({alpha: m.alpha[t], sigma: m.sigma[t]});"
        "return Array.from({length: m.alpha.length - 1}, (_, i) => FRESH.ddpm(row(i + 1), row(i)))"
    )
    x, t = torch.zeros(T, *model.data_shape), torch.arange(1, T + 1)
    _, variance = model.q_posterior_mean_variance(x.double(), x.double(), t)
    np.testing.assert_allclose(np.square(found), variance.flatten(), rtol=1e-9, atol=1e-15)


@pytest.mark.slow
def test_hands_draw_go_back_in_time_and_fill_a_hole(browser, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    model, file = images(), tmp_path / "p.html"
    file.write_bytes(html(model, metadata(model, "images", ("a", EVIL, "c"))))
    opened(browser, file)
    assert float(browser.find_element("id", "selftest").get_attribute("data-off")) < 1e-2
    picture = "return document.getElementById('{}').toDataURL()"
    ended = [browser.execute_script(picture.format(of)) for of in ("state", "estimate")]
    slider = browser.find_element("id", "time")
    slider.send_keys(Keys.HOME)
    assert browser.find_element("id", "when").text == f"t = {T} of {T}"
    begun = [browser.execute_script(picture.format(of)) for of in ("state", "estimate")]
    assert all(a != b for a, b in zip(ended, begun, strict=True))
    buttons = browser.find_elements("css selector", "#class-buttons button")
    assert [b.text for b in buttons] == ["a", EVIL, "c", "none"]
    buttons[1].send_keys(Keys.ENTER)
    drawn(browser)
    assert buttons[1].get_attribute("aria-pressed") == "true"
    before = browser.execute_script(picture.format("estimate"))
    assert before != ended[1]
    canvas = browser.find_element("id", "estimate")
    ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(9, 9).release(
    ).perform()  # fmt: skip
    painted = browser.execute_script(picture.format("estimate"))
    assert painted != before
    browser.execute_script(
        "document.getElementById('fill').click(); document.getElementById('fill').click();"
    )
    drawn(browser)  # the second click, on what is not drawn yet, does nothing
    filled = browser.execute_script(picture.format("estimate"))
    assert filled == browser.execute_script(picture.format("state"))  # nothing hides it
    browser.find_element("id", "clear").click()
    pixels = "const c = document.getElementById('estimate');" \
        "return [c.width, [...c.getContext('2d').getImageData(0, 0, c.width, 9).data]]"  # fmt: skip
    # The corner was not painted, and stays; the middle was, and does not.
    assert browser.execute_script(picture.format("estimate")) != before
    width, row = browser.execute_script(pixels)
    image = "const i = new Image(); const done = arguments[1]; i.onload = () => {" \
        "const c = document.createElement('canvas'); [c.width, c.height] = [i.width, i.height];" \
        "const g = c.getContext('2d'); g.drawImage(i, 0, 0);" \
        "done([...g.getImageData(0, 0, c.width, 9).data]); }; i.src = arguments[0]"  # fmt: skip
    assert row == browser.execute_async_script(image, before)
    assert width > 0
    quiet(browser, file)


@pytest.mark.slow
def test_a_narrow_screen_needs_no_sideways_scrolling(browser, page):
    _, file, _ = page
    size = {"width": 360, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, file)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_of_an_mnist_model_is_small():
    network = UNet.for_data((1, 28, 28), 100, 10, model_channels=16, channel_multipliers=(1, 2, 4))
    model = diffusion(network, (1, 28, 28), change=0.0)
    assert sum(p.numel() for p in model.parameters()) == 622_865
    assert len(html(model, metadata(model, "images", map(str, range(10))))) < 2e6


class Odd(torch.nn.Module):
    def forward(self, x, t):
        return torch.tanh(x)


def test_what_a_page_cannot_do_is_refused_by_name():
    model = diffusion(Odd(), (2,))
    with pytest.raises(ValueError, match=r"aten\.tanh"):
        html(model, metadata(model, "points"))
    model = enlarged()
    with pytest.raises(ValueError, match="enlarges"):
        html(model, metadata(model, "images"))
    model = points()
    for p in model.parameters():
        p.data *= 4
    with pytest.raises(ValueError, match="take --float32"):
        html(model, metadata(model, "points"))


@pytest.mark.slow
def test_the_command_makes_the_same_page_for_the_same_run(tmp_path, capsys):
    config = {
        "network": {"hidden": 8, "num_layers": 1},
        "schedule": {"timesteps": 10},
        "training": {"epochs": 1, "epoch_size": 100, "batch_size": 50, "warmup_steps": 0},
        "sampling": {"num": 20, "steps": 2},
    }
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    ddpm("train", "spiral", "--config", tmp_path / "tiny.json", "--out", tmp_path / "run",
         "--no-evaluate")  # fmt: skip
    pages = []
    for name in ("a.html", "b.html"):
        assert ddpm("export", tmp_path / "run", "--out", tmp_path / name) == 0
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]
    assert ddpm("export", tmp_path / "run", "--float32") == 0
    assert (tmp_path / "run" / "export" / "model.html").stat().st_size > len(pages[0])
    assert ddpm("export", tmp_path / "run", "--to", "pt2", "--float32") == 2
    assert "takes no float32" in capsys.readouterr().err
    assert Run(tmp_path / "run").finished
