"""Exported files answer as the library does, in other programs than it."""

import io
import json
import sys

import numpy as np
import pytest
import torch

from denoising_diffusion import (
    MLP,
    GaussianDiffusion,
    UNet,
    cosine_beta_schedule,
)
from denoising_diffusion.cli import main
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.export import graph
from denoising_diffusion.export.onnx import onnx
from denoising_diffusion.export.pt2 import METADATA, pt2
from denoising_diffusion.nn.super_resolution import SuperResolution
from denoising_diffusion.run import Run
from denoising_diffusion.sampling import denoiser
from denoising_diffusion.super_resolution import given

T = 20
SMALL = {"model_channels": 8, "channel_multipliers": (1, 2), "block_groups": 4}


def diffusion(network, shape, prediction="v", schedule=None, change=0.05):
    torch.manual_seed(0)
    schedule = cosine_beta_schedule(T) if schedule is None else schedule
    model = GaussianDiffusion(schedule, shape, network, prediction)
    # What begins at zero would hide mistakes.
    for p in model.parameters():
        p.data += change * torch.randn(p.shape)
    return model.eval().requires_grad_(False)


def images():
    return diffusion(UNet.for_data((1, 8, 8), T, 3, **SMALL), (1, 8, 8))


def signals():
    network = UNet.for_data((1, 16), T, 2, **SMALL)
    return diffusion(network, (1, 16), "edm", edm_schedule(timesteps=T))


def points():
    return diffusion(MLP(T, num_classes=2), (2,))


def enlarged():
    network = SuperResolution.for_data((1, 8, 8), T, 2, factor=2, **SMALL)
    return diffusion(network, (1, 8, 8))


def opened(kind, content, names):
    """The function in a file: tensors by name -> x_start."""
    if kind == "pt2":
        program = torch.export.load(io.BytesIO(content)).module()
        return lambda row: program(*(row[n] for n in names))
    runtime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == names
    return lambda row: torch.from_numpy(
        session.run(["x_start"], {n: row[n].numpy() for n in names})[0]
    )


def made(kind, model):
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="the extra export is not installed")
        pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    return {"onnx": onnx, "pt2": pt2}[kind](model, {"class_names": ["ä"]})


@pytest.mark.parametrize(
    ("kind", "make", "sizes"),
    [
        ("onnx", images, (8, 12)),
        ("pt2", signals, (24,)),
        ("onnx", points, ()),
    ],
)
def test_a_file_answers_as_the_library_does(kind, make, sizes):
    model = make()
    labelled = getattr(model.denoise_fn, "num_classes", None) is not None
    names = ["x", "t", "labels", "guidance_scale"] if labelled else ["x", "t"]
    found = opened(kind, made(kind, model), names)
    shapes = [model.data_shape, *([(1, *sizes)] if sizes else [])]
    for batch in (1, 3, 7):
        for shape in shapes:
            x = torch.randn(batch, *shape)
            asked = GaussianDiffusion(model.schedule, shape, model.denoise_fn, model.prediction)
            for scale in (0.0, 1.0, 2.0) if labelled else (1.0,):
                for t in (1.0, 0.3 * T + 0.5, float(T)):
                    times, labels = torch.full((batch,), t), 1 + torch.arange(batch) % 2
                    row = {"x": x, "t": times, "labels": labels}
                    row["guidance_scale"] = torch.full((batch,), scale)
                    at = denoiser(
                        asked,
                        labels=labels if labelled else None,
                        guidance_scale=scale,
                        clip=False,
                    )
                    expected = at(x, times)
                    atol = 2e-5 * max(1, expected.abs().max().item())
                    torch.testing.assert_close(found(row), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", ["pt2"])
def test_a_file_that_enlarges_takes_the_picture(kind):
    model = enlarged()
    names = ["x", "t", "low", "level", "labels", "guidance_scale"]
    found = opened(kind, made(kind, model), names)
    low, labels = torch.rand(3, 1, 4, 4), torch.tensor([1, 2, 0])
    x, t = torch.randn(3, 1, 8, 8), torch.full((3,), 7.5)
    network = given(model.denoise_fn, low, 0.25, labels)
    asked = GaussianDiffusion(model.schedule, (1, 8, 8), network, "v")
    for scale in (0.0, 1.0, 2.0):
        level, scales = torch.full((3,), 0.25), torch.full((3,), scale)
        row = dict(zip(names, (x, t, low, level, labels, scales), strict=True))
        at = denoiser(asked, labels=1 + torch.arange(3), guidance_scale=scale, clip=False)
        torch.testing.assert_close(found(row), at(x, t), rtol=0, atol=2e-5)


def test_what_answers_otherwise_is_not_kept():
    model = points()

    def off(*inputs):
        return graph.expected_of(model, graph.inputs_of(model, len(inputs[0]), 0)) + 1e-3

    with pytest.raises(RuntimeError, match="answers other than the model"):
        graph.check_against(model, off, "graph", (2,))
    with pytest.raises(RuntimeError, match="nan off"):
        graph.check_against(model, lambda *v: off(*v) * float("nan"), "graph", (2,))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    config = {
        "network": {"hidden": 8, "num_layers": 1},
        "schedule": {"timesteps": 10},
        "training": {"epochs": 1, "epoch_size": 100, "batch_size": 50, "warmup_steps": 0},
        "sampling": {"num": 20, "steps": 2},
    }
    (folder / "tiny.json").write_text(json.dumps(config))
    ddpm("train", "spiral", "--config", folder / "tiny.json", "--out", folder / "run",
         "--no-evaluate")  # fmt: skip
    return folder / "run"


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


@pytest.mark.slow
def test_the_command_writes_once_and_overwrites_nothing(run, capsys, tmp_path):
    assert ddpm("export", run, "--to", "pt2") == 0
    file = run / "export" / "model.pt2"
    assert capsys.readouterr().out.strip() == str(file)
    before = file.stat().st_mtime_ns
    assert ddpm("export", run, "--to", "pt2") == 0
    assert "is there already" in capsys.readouterr().err
    assert file.stat().st_mtime_ns == before
    assert ddpm("export", run, "--to", "pt2", "--average", "raw") == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    extra = {METADATA: ""}
    torch.export.load(file, extra_files=extra)
    metadata = json.loads(extra[METADATA])
    own = Run(run)
    assert metadata["inputs"] == ["x", "t"]
    assert metadata["config"]["facts"]["fingerprint"] == own.facts.fingerprint
    np.testing.assert_array_equal(metadata["alpha"], own.model(device="cpu").schedule.alpha)
    other = tmp_path / "mine.pt2"
    other.write_bytes(b"mine")
    assert ddpm("export", run, "--to", "pt2", "--out", other) == 2
    assert other.read_bytes() == b"mine"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "tflite"), "--to must be one of"),
        (("--to", "pt2", "--out", "m.onnx"), "must end in .pt2"),
        (("--to", "pt2", "--average", "emma"), "average"),
    ],
)
def test_what_cannot_be_exported_is_refused(run, arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert ddpm("export", run, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_pictures_that_end_a_run_are_had_for_papers(run, capsys):
    assert ddpm("report", run, "--figures", "pdf") == 0
    files = sorted((run / "figures").iterdir())
    assert sorted(capsys.readouterr().out.split()) == [str(f) for f in files]
    assert {f.name for f in files} == {f"{p.stem}.pdf" for p in run.glob("*.png")}
    before = [f.read_bytes() for f in files]
    assert all(content.startswith(b"%PDF") for content in before)
    assert ddpm("report", run, "--figures", "pdf") == 0
    assert before == [f.read_bytes() for f in files]
    assert ddpm("report", run, "--figures", "svg", "--out", "x.html") == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.slow
def test_without_the_extra_one_line_names_it(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert ddpm("export", run, "--to", "onnx") == 2
    said = capsys.readouterr().err
    assert "onnxruntime: pip install 'denoising-diffusion[export]'" in said
    assert not (run / "export" / "model.onnx").exists()
