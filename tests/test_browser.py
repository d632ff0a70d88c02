"""The page of a run in a real browser; skipped where Chromium or its driver is missing."""

import itertools
import json
import os
import re
import time
import warnings

import numpy as np
import pytest

from denoising_diffusion.cli import main
from denoising_diffusion.run import Run

EVIL = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>'\"{{7*7}}"
TINY = {
    "network": {"model_channels": 8, "channel_multipliers": [1]},
    "schedule": {"timesteps": 12},
    "training": {"epochs": 1, "warmup_steps": 0, "precision": "float32", "label_dropout": 0.1},
    "sampling": {"num": 40, "steps": 6},
}
POINTS = {**TINY, "network": {"hidden": 8, "num_layers": 1}, "sampling": {"num": 60, "steps": 6}}
POINTS["training"] = {**TINY["training"], "epoch_size": 200, "batch_size": 100}

pytestmark = pytest.mark.slow


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert end.value.code == 0, arguments


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / EVIL.replace("/", "_")
    folder.mkdir()
    rows = np.random.default_rng(0).normal(size=(120, 2))
    name = '"' + EVIL.replace('"', '""') + '"'
    lines = [f"{x},{y},{name if i % 2 else 'plain'}" for i, (x, y) in enumerate(rows)]
    (folder / "p.csv").write_text("\n".join([f"{name},b,label", *lines]) + "\n")
    for file, config in (("tiny.json", TINY), ("points.json", POINTS)):
        (folder / file).write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(folder)
        ddpm("train", "digits", "--config", "tiny.json", "--out", "digits")
        column = ("--label-column", "label")
        ddpm("train", "points", "--data", "p.csv", *column, "--config", "points.json",
             "--out", "points")  # fmt: skip
        ddpm("report", "digits", "points", "--out", "both.html")
    return folder


def opened(browser, file, width=1000, dark=False):
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(file.resolve().as_uri())
    for _ in range(100):
        if browser.execute_script("return document.documentElement.dataset.ready") == "yes":
            return browser
        time.sleep(0.1)
    raise AssertionError(browser.get_log("browser"))


def pixels(browser, of):
    return browser.execute_script(f"return document.querySelector('{of}').toDataURL()")


def quiet(browser, file):
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {file.resolve().as_uri()}


PAGES = ("digits/report.html", "points/report.html", "both.html")


@pytest.mark.parametrize("page", PAGES)
def test_nothing_runs_nothing_is_asked_and_nothing_is_said(browser, place, page):
    opened(browser, place / page)
    assert browser.execute_script("return window.hit") is None
    assert not browser.execute_script("return document.querySelectorAll('img').length")
    text = browser.execute_script("return document.body.innerText")
    assert "{{7*7}}" in text if page != "digits/report.html" else "{{" not in text
    quiet(browser, place / page)


@pytest.mark.parametrize("page", PAGES[:2])
def test_the_slider_moves_both_pictures_and_says_where_it_is(browser, place, page):
    from selenium.webdriver.common.keys import Keys

    opened(browser, place / page)
    slider = browser.find_element("css selector", "input[type=range]")
    slider.send_keys(Keys.HOME)
    first = [pixels(browser, f"canvas.{of}") for of in ("state", "estimate")]
    said = browser.find_element("css selector", ".said").text
    assert re.fullmatch(r"t = 12: \d+ % signal, \d+ % noise", said)
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    second = [pixels(browser, f"canvas.{of}") for of in ("state", "estimate")]
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert browser.find_element("css selector", ".said").text != said
    assert slider.get_attribute("aria-valuetext").startswith("t = 8:")


def test_guidance_is_chosen_by_keyboard(browser, place):
    from selenium.webdriver.common.keys import Keys

    opened(browser, place / PAGES[0])
    tabs = browser.find_elements("css selector", "[role=tab]")
    assert [tab.text for tab in tabs] == ["0", "1", "2"]
    before = pixels(browser, "canvas.state")
    browser.execute_script("arguments[0].focus()", tabs[1])
    tabs[1].send_keys(Keys.ARROW_LEFT, Keys.NULL)
    browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)  # round to the last
    chosen = browser.switch_to.active_element
    assert (chosen.text, chosen.get_attribute("aria-selected")) == ("2", "true")
    assert [tab.get_attribute("tabindex") for tab in tabs] == ["-1", "-1", "0"]
    assert pixels(browser, "canvas.state") != before


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_scrolls_one_way_alone_and_text_stands_out(browser, place, page, dark):
    opened(browser, place / page, width=360, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    ratios = browser.execute_script(
        """
        const part = (c) => {
          c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
        const light = (t) => { const [r, g, b] = t.match(/[\\d.]+/g).map(Number);
          return .2126 * part(r) + .7152 * part(g) + .0722 * part(b); };
        const paper = light(getComputedStyle(document.body).backgroundColor);
        return ["body", ".how", ".eyebrow", ".lead", "h2"].map((of) => {
          const ink = light(getComputedStyle(document.querySelector(of)).color);
          return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05); });
        """
    )
    assert min(ratios) >= 4.5
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark


@pytest.mark.parametrize("page", PAGES)
def test_headings_come_in_order_and_everything_has_a_name(browser, place, page):
    opened(browser, place / page)
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    nameless = browser.execute_script(
        """return [...document.querySelectorAll('canvas, svg, [role=region], input[type=range]')]
        .filter((e) => !e.getAttribute('aria-label') && !(e.labels && e.labels.length)).length"""
    )
    assert nameless == 0


def test_pages_are_small_name_no_folder_and_stay_as_they_are(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for page in PAGES:
        text = (place / page).read_text(encoding="utf-8")
        assert len(text.encode()) <= 1_000_000
        assert str(place.parent) not in text
        assert os.path.expanduser("~") + "/" not in text
    before = (place / PAGES[0]).stat().st_mtime_ns
    ddpm("report", "digits")
    assert capsys.readouterr().out.strip() == "digits/report.html"
    assert (place / PAGES[0]).stat().st_mtime_ns == before
    (place / "mine.html").write_text("mine")
    for arguments, code in ((["digits", "--out", "mine.html"], 2), (["digits", "points"], 2)):
        with pytest.raises(SystemExit) as end:
            main(["report", *arguments])
        assert end.value.code == code
    assert (place / "mine.html").read_text() == "mine"


def test_what_is_not_there_has_a_line_with_its_command(place, monkeypatch):
    monkeypatch.chdir(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ddpm("train", "digits", "--config", "tiny.json", "--out", "bare", "--no-evaluate")
    text = (place / "bare" / "report.html").read_text(encoding="utf-8")
    assert "trained, and not scored yet" in text
    assert "This run was not scored as it is now. <code>ddpm resume RUN</code>" in text
    for file in ("model.safetensors", "checkpoint.safetensors", "history.jsonl"):
        Run("bare").path.joinpath(file).unlink()
    ddpm("report", "bare")
    text = (place / "bare" / "report.html").read_text(encoding="utf-8")
    assert "Digits: 0 of 1 epochs learned" in text
    assert "There is no checkpoint to draw from yet. <code>ddpm resume RUN</code>" in text
