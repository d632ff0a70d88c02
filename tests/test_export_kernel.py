"""What a page does by its kernel is what torch does; the kernel is what its source makes."""

import base64
import re
import shlex
import shutil
import subprocess
from importlib import resources

import pytest
import torch
import torch.nn.functional as F

from denoising_diffusion.export import html as of_page
from test_export import images, points
from test_export_page import metadata, opened, quiet

PAGE = resources.files("denoising_diffusion.export.page")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model, file = points(), tmp_path_factory.mktemp("kernel") / "page.html"
    file.write_bytes(of_page.html(model, metadata(model, "points", "ab"), float32=True))
    return file


@pytest.fixture
def scripts(browser, file):
    opened(browser, file)
    return browser


def both(browser, op, shape, inputs, stored=(), **how):
    """What the kernel and JavaScript make of one operation."""
    numbers = range(len(inputs) + len(stored) + 1)
    model = {
        "tape": [[op, list(numbers[:-1]), numbers[-1], list(shape), False, how]],
        "inputs": [list(v.shape) for v in inputs],
        "answer": numbers[-1],
        "half": False,
        "weights": of_page._text(torch.cat([v.flatten() for v in stored] or [torch.ones(1)])),
        "weightShapes": [[len(inputs) + i, list(v.shape)] for i, v in enumerate(stored)],
        "constants": "",
        "constantShapes": [],
        "kernel": base64.b64encode((PAGE / "kernel.wasm").read_bytes()).decode(),
    }
    # Infinities have no place in JSON.
    given = [of_page._text(v.double()) for v in inputs]
    made = browser.execute_script(
        "const given = arguments[1].map(v => Float32Array.from(new Float64Array(bytesOf(v))));"
        "const slow = OPERATIONS[arguments[2]]; let fallen = false;"
        "OPERATIONS[arguments[2]] = (...v) => { fallen = true; slow(...v); };"
        "const fast = [...fastOf(arguments[0])(given)].map(String), used = !fallen;"
        "OPERATIONS[arguments[2]] = slow;"
        "return [fast, [...slowOf(arguments[0])(given)].map(String), used];",
        model,
        given,
        op,
    )
    fast, slow = (torch.tensor([float(v) for v in values]).view(shape) for values in made[:2])
    return fast, slow, made[2]


def close(expected, *found, rtol=1e-5, atol=2e-6):
    for values in found:
        torch.testing.assert_close(values, expected.float(), rtol=rtol, atol=atol, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "channels", "outs", "size", "kernel", "stride", "padding", "bias"),
    [
        (1, 4, 8, (5, 5), (3, 3), (1, 1), (1, 1), True),
        (3, 3, 5, (7, 9), (3, 3), (2, 2), (1, 1), True),
        (2, 5, 11, (4, 6), (1, 1), (1, 1), (0, 0), False),
        (2, 2, 9, (8, 7), (5, 2), (2, 1), (2, 0), True),
        (2, 3, 4, (10,), (3,), (2,), (1,), True),
    ],
)
def test_convolutions(scripts, batch, channels, outs, size, kernel, stride, padding, bias):
    x, w = torch.randn(batch, channels, *size), torch.randn(outs, channels, *kernel)
    b = torch.randn(outs) if bias else None
    convolve = F.conv2d if len(size) == 2 else F.conv1d
    expected = convolve(
        x.double(), w.double(), None if b is None else b.double(), stride=stride, padding=padding
    )
    how = {"kernel": kernel, "stride": stride, "padding": padding}
    if len(size) == 1:
        how = {k: [1 if k != "padding" else 0, *v] for k, v in how.items()}
    fast, slow, used = both(
        scripts, "conv", expected.shape, [x], [w, *([] if b is None else [b])], **how
    )
    assert used
    close(expected, fast, slow)


@pytest.mark.slow
def test_what_the_kernel_cannot_find_is_done_in_javascript(scripts):
    x, w, b = torch.randn(2, 3, 4, 5), torch.randn(6, 3, 3, 3), torch.randn(6)
    expected = F.conv2d(x.double(), w.double(), b.double(), padding=1)
    how = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1]}
    fast, slow, used = both(scripts, "conv", expected.shape, [x, w], [b], **how)
    assert not used  # weights that are worked out
    close(expected, fast, slow)


@pytest.mark.slow
def test_products_norms_and_numbers_side_by_side(scripts):
    x, w, b = torch.randn(7, 2, 5), torch.randn(10, 5), torch.randn(10)
    expected = F.linear(x.double(), w.double(), b.double())
    fast, slow, used = both(scripts, "linear", expected.shape, [x], [w, b])
    assert used
    close(expected, fast, slow)

    for shape, groups in (((3, 6, 5, 3), 2), ((2, 4, 4), 4), ((4, 6), 3)):
        x, w, b = 3 + torch.randn(shape), torch.randn(shape[1]), torch.randn(shape[1])
        expected = F.group_norm(x.double(), groups, w.double(), b.double(), 1e-3)
        fast, slow, used = both(scripts, "norm", shape, [x], [w, b], groups=groups, eps=1e-3)
        assert used
        close(expected, fast, slow)

    shape = (2, 3, 5, 7)
    for op, act in (("add", torch.add), ("mul", torch.mul)):
        # Those of columns are spread in JavaScript.
        for other in (shape, (2, 3, 1, 1), (2, 1, 1, 1), (1,), (3, 1, 1), (7,)):
            x, y = torch.randn(shape), torch.randn(other)
            for given in ((x, y), (y, x)):
                fast, slow, used = both(scripts, op, shape, given)
                assert used == (other not in ((3, 1, 1), (7,)))
                close(act(x, y), fast, slow)


@pytest.mark.slow
def test_silu_to_the_ends_of_the_numbers(scripts):
    x = torch.cat([torch.linspace(-80, 80, 4001), torch.tensor([1e-30, -1e-30, 1e30, torch.inf])])
    for part, atol in ((x, 0.0), (torch.tensor([0.0, -87.5, -1e3, -1e30, torch.nan]), 1e-8)):
        fast, slow, used = both(scripts, "silu", part.shape, [part])
        assert used
        close(F.silu(part.double()), fast, slow, rtol=4e-7, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["delete window.WebAssembly", "WebAssembly.Module = null"])
def test_a_page_without_webassembly_does_the_same_in_javascript(browser, file, lacking):
    named = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": lacking})
    try:
        opened(browser, file)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", named)
    told = browser.find_element("id", "selftest")
    assert told.get_attribute("data-path") == "JavaScript"
    assert 0 < float(told.get_attribute("data-off")) < 1e-5
    quiet(browser, file)


def built(folder):
    """The kernel from its source, by the command that its head names."""
    for program in ("clang", "wasm-ld"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    source = PAGE / "kernel.c"
    (command,) = re.findall(r"^//   (clang .*)", source.read_text(), re.M)
    shutil.copy(str(source), folder)
    subprocess.run(shlex.split(command), cwd=folder, check=True)
    return (folder / "kernel.wasm").read_bytes()


def compiler(kernel):
    """The version of clang that a kernel names."""
    (version,) = re.findall(rb"processed-by\x01[^\d]+([\d.]+)", kernel)
    return version


def test_the_kernel_is_small_enough_to_be_compiled_at_once():
    # Browsers compile no more than this without waiting.
    assert len((PAGE / "kernel.wasm").read_bytes()) <= 4096


def test_the_kernel_is_what_its_source_makes(tmp_path, monkeypatch, request):
    made, kept = built(tmp_path), (PAGE / "kernel.wasm").read_bytes()
    if compiler(made) == compiler(kept):
        assert made == kept
        return
    # Another compiler orders its instructions otherwise.
    asset = of_page._asset
    monkeypatch.setattr(of_page, "_asset", lambda n: made if n == "kernel.wasm" else asset(n))
    browser = request.getfixturevalue("browser")
    model, file = images(), tmp_path / "p.html"
    file.write_bytes(of_page.html(model, metadata(model, "images", "abc"), float32=True))
    opened(browser, file)
    told = browser.find_element("id", "selftest")
    assert told.get_attribute("data-path") == "WebAssembly"
    assert 0 < float(told.get_attribute("data-off")) < 1e-5
