import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from denoising_diffusion import files
from denoising_diffusion.recipes import recipe
from denoising_diffusion.strict_json import to_json


def test_equal_content_is_equal_bytes_whatever_the_order(tmp_path):
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
    notes = {"step": 3, "config": {"x": [1, None, "é"]}}
    for i in range(4):
        files.write_tensors(tmp_path / f"{i}", tensors, dict(reversed(notes.items())))
    assert len({(tmp_path / f"{i}").read_bytes() for i in range(4)}) == 1
    stored = files.read_tensors(tmp_path / "0")
    assert all(torch.equal(stored.tensors[k], v) for k, v in tensors.items())
    digest = files.digest_of_tensors(tensors)
    assert stored.notes == {**notes, "format_version": files.FORMAT_VERSION, "sha256": digest}
    assert files.read_notes(tmp_path / "0") == stored.notes


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files.write(tmp_path / "a", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "a", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_name_of_any_bytes_stands_in_json(tmp_path):
    value = {"path": os.fsdecode(b"/r\xe9sum\xe9/\xff.csv"), "é": "日"}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert "日" in (tmp_path / "a.json").read_text("utf-8")
    config = replace(recipe("spiral"), data={"name": "spiral", "path": value["path"]})
    assert json.loads(to_json(config).encode())["data"]["path"] == value["path"]


def test_files_are_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_tensors(tmp_path / "w", {"a": torch.ones(1)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o644


def test_arrays_come_back_and_what_is_no_archive_is_refused(tmp_path):
    files.write(
        tmp_path / "a.npz", files.as_npz({"x": np.arange(4), "names": np.array(["é", "b"])})
    )
    found = files.read_npz(tmp_path / "a.npz")
    assert found["names"].tolist() == ["é", "b"]
    np.save(tmp_path / "one.npy", np.arange(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "edited.npz").write_bytes(whole[:60] + b"\0" * 20 + whole[80:])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("one", "objects", "cut", "edited", "empty"):
        with pytest.raises(ValueError, match=f"{name}.npz is no readable .npz: "):
            files.read_npz(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match=r"none.npz: no such file"):
        files.read_npz(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "must hold one JSON object"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_other_json_is_refused_by_the_name_of_the_file(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match=f"c.json {message}"):
        files.read_json(tmp_path / "c.json")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "c.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert files.read_json(tmp_path / "c.json") == {"a": 1}


def test_the_first_format_is_told_by_name(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "old", metadata={"format_version": "1"})
    message = "old has format version 1, this program reads 2; train it again, or use version 0.1.0"
    with pytest.raises(ValueError, match=message):
        files.read_tensors(tmp_path / "old")
