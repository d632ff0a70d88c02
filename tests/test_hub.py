"""A model folder is a run that answers as its own does; it goes to a hub and comes from one."""

import base64
import hashlib
import json
import re
import shutil
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch

from denoising_diffusion import load
from denoising_diffusion.cli import main
from denoising_diffusion.run import Run
from denoising_diffusion.run.hub import FILES, downloaded

TINY = {
    "network": {"hidden": 8, "num_layers": 1},
    "schedule": {"timesteps": 10},
    "training": {"epochs": 2, "epoch_size": 100, "batch_size": 50, "warmup_steps": 0},
    "sampling": {"num": 40, "steps": 2},
}
CLASSES = ("one", "<b>`a|b`")


def ddpm(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)).tolist()
    rows = [f"{a},{b},{CLASSES[i % 2]}" for i, (a, b) in enumerate(x)]
    (folder / "secret-place").mkdir()
    data = folder / "secret-place" / "mine.csv"
    data.write_text("\n".join(["x,y,kind", *rows]))
    options = ("--label-column", "kind", "--config", folder / "tiny.json", "--out", folder / "run")
    assert ddpm("train", "points", "--data", data, *options) == 0
    assert ddpm("export", folder / "run", "--to", "hub") == 0
    return folder / "run"


def answers_alike(one, other):
    x, t = torch.randn(5, 2), torch.full((5,), 4.5)
    labels = torch.tensor([0, 1, 2, 1, 0])
    with torch.no_grad():
        assert torch.equal(one.denoise(x, t, labels), other.denoise(x, t, labels))
    assert torch.equal(one.schedule.alpha, other.schedule.alpha)


def test_the_folder_is_a_run_that_has_ended_and_tells_no_place(run, tmp_path):
    folder = run / "export" / "hub"
    assert {f.name for f in folder.iterdir()} == {*FILES[:2], "README.md", "samples.png"}
    answers_alike(load(folder), load(run))
    assert Run(folder).finished
    assert Run(folder).config.data["path"] == "mine.csv"
    for file in folder.iterdir():
        assert b"secret-place" not in file.read_bytes()
        assert str(run.parent).encode() not in file.read_bytes()
    shutil.copytree(folder, tmp_path / "elsewhere")
    file = tmp_path / "x.npz"
    assert ddpm("sample", tmp_path / "elsewhere", "--num", 4, "--out", file) == 0


def test_the_card_holds_the_scores_of_these_weights(run, capsys):
    text = (run / "export" / "hub" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert "library_name: denoising-diffusion" in head
    assert "\n# license:" in head  # the user's
    assert "pipeline_tag" not in head  # of images alone
    assert "`<b>�a|b�`" in body
    (entry,) = Run(run).evaluations.read()
    assert len(entry.scores) > 2
    for score in entry.scores:
        if isinstance(score["value"], float) and score["title"].strip():
            title = score["title"].strip().replace("|", "\\|").replace("<", "&lt;")
            row = next(r for r in body.splitlines() if r.startswith(f"| {title} "))
            assert f" {format(score['value'], score['form'])} " in row
            if score["interval"] is not None:
                assert f" {format(score['interval'], score['form'])} " in row
    raw = run.parent / "raw"
    assert ddpm("export", run, "--to", "hub", "--average", "raw", "--out", raw) == 0
    assert "were not evaluated" in (raw / "README.md").read_text()
    assert ddpm("evaluate", run, "--average", "raw") == 0
    again = ("export", run, "--to", "hub", "--average", "raw", "--out", raw)
    assert (ddpm(*again), ddpm(*again, "--overwrite")) == (2, 0)
    assert f"| {entry.scores[0]['title']} |" in (raw / "README.md").read_text()
    answers_alike(load(raw), load(run, average="raw"))
    assert Run(raw).config.training.average_names == ()


def test_a_card_completed_by_hand_stays_and_other_files_are_not_replaced(run, capsys):
    folder = run.parent / "own"
    assert ddpm("export", run, "--to", "hub", "--out", folder) == 0
    card = folder / "README.md"
    mine = card.read_text().replace("# license: mit", "license: cc0-1.0")
    card.write_text(mine)
    (folder / "samples.png").unlink()
    assert ddpm("export", run, "--to", "hub", "--out", folder) == 0
    assert (folder / "samples.png").exists()
    assert ddpm("export", run, "--to", "hub", "--out", folder) == 0
    assert "is there already" in capsys.readouterr().err
    assert card.read_text() == mine
    assert ddpm("export", run, "--to", "hub", "--out", folder, "--average", "raw") == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert card.read_text() == mine


def test_a_run_that_has_not_ended_is_refused(run, tmp_path, capsys):
    begun = tmp_path / "begun"
    shutil.copytree(run, begun, ignore=shutil.ignore_patterns("export", "model.safetensors"))
    assert ddpm("export", begun, "--to", "hub") == 2
    assert "has not ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "hub", "--push", "me"), "OWNER/NAME, got 'me'"),
        (("--to", "hub", "--push", "me/../you"), "OWNER/NAME"),
        (("--push", "me/it"), "--push goes with --to hub"),
        (("--to", "hub", "--push", "me/it"), "pip install 'denoising-diffusion[hub]'"),
        (("--to", "hub", "--float32"), "takes no float32"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_written(
    run, options, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert ddpm("export", run, *options, "--out", tmp_path / "x") == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"denoising-diffusion\[hub\]"):
        load("hf://me/it")


def test_what_is_downloaded_is_loaded_and_what_fails_is_one_line(run, monkeypatch):
    class Gone(Exception):
        pass

    asked = []

    def snapshot_download(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        if name == "me/gone":
            raise Gone("404\n\nnot here\nlong story")
        return str(run / "export" / "hub")

    fake = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    answers_alike(load("hf://me/it"), load(run))
    assert asked == [("me/it", list(FILES))]
    with pytest.raises(ValueError, match="^hf://me/gone cannot be had: 404 not here$"):
        load("hf://me/gone")


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a small public model needs: one commit of whole files."""

    kept: dict[str, bytes] = {}  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def answer(self, content, code=200, **headers):
        self.send_response(code)
        for key, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value, code=200):
        self.answer(json.dumps(value).encode(), code, Content_Type="application/json")

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(r"/me/it/resolve/[^/]+/(.+)", path)
        if found and found[1] in self.kept:
            content = self.kept[found[1]]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(content, ETag=etag, X_Repo_Commit="c" * 40)
        elif re.fullmatch(r"/api/models/me/it(/revision/main)?", path):
            siblings = [{"rfilename": name} for name in self.kept]
            self.json({"id": "me/it", "sha": "c" * 40, "siblings": siblings})
        elif path.startswith("/api/models/me/it/tree/"):
            rows = [{"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                    for n, c in self.kept.items()]  # fmt: skip
            self.json(rows)
        else:
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/repos/create"):
            self.json({"url": f"http://{self.headers['Host']}/me/it", "name": "me/it"})
        elif "/preupload/" in self.path:
            names = [f["path"] for f in json.loads(sent)["files"]]
            rows = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
            self.json({"files": rows})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    self.kept[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            at = f"http://{self.headers['Host']}/me/it/commit/{'c' * 40}"
            self.json({"commitUrl": at, "commitOid": "c" * 40, "success": True})
        else:
            self.json({}, 200)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The package, imported anew, and a hub of this machine that it talks to."""
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setattr(Hub, "kept", {})
    for name in [n for n in sys.modules if n.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    yield Hub.kept
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore")
def test_a_push_and_a_load_through_a_hub_of_this_machine(run, hub, capsys):
    assert ddpm("export", run, "--to", "hub", "--push", "me/it") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "hf://me/it"
    folder = run / "export" / "hub"
    assert hub == {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    answers_alike(load("hf://me/it"), load(run))
    assert {f.name for f in Path(downloaded("hf://me/it")).iterdir()} == set(FILES[:2])
    with pytest.raises(ValueError, match=r"^hf://me/gone cannot be had: \S"):
        load("hf://me/gone")
