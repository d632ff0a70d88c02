"""A folder of pictures: whatever lies in it becomes right pixels, or one line that says why not."""

import os
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion import load_dataset, memory, whole
from denoising_diffusion.data import decoded as decoding
from denoising_diffusion.data.framing import Wish, frame_of
from denoising_diffusion.data.listing import list_pictures
from denoising_diffusion.data.picture import Header, read_header, read_picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DDPM_NO_CACHE", raising=False)


def fill(folder, count=12, size=(8, 8), suffix=".png", begin=0):
    """Pictures of one grey level each: their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(begin, begin + count):
        Image.new("RGB", size, (i, i, i + 1)).save(folder / f"{i:03d}{suffix}")
    return folder


def read(path, width=2, height=2, fit="crop", background="white"):
    return read_picture(path, height, width, fit, background)


def levels(data):
    """The red levels of the pictures of a data set, whole, by part."""
    parts = (whole(data.train), whole(data.validation))
    return [((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for x, *_ in parts]


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, WHITE),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (100, 0), WHITE),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), WHITE),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("I;16", 257 * 90, (90, 90, 90)),
        ("I;16", 65535, WHITE),
    ],
)
def test_modes(tmp_path, mode, value, expected):
    Image.new(mode, (2, 2), value).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == expected).all()
    assert read_header(tmp_path / "a.png")[:2] == (2, 2)


def test_transparent_over_a_colour_that_can_be_chosen(tmp_path):
    Image.new("RGBA", (2, 2), (0, 255, 0, 0)).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png", background="#0a141e") == (10, 20, 30)).all()


def test_palette_with_and_without_a_transparent_colour(tmp_path):
    image = Image.new("P", (2, 2), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == (200, 100, 50)).all()
    image.save(tmp_path / "b.png", transparency=1)
    assert (read(tmp_path / "b.png") == WHITE).all()
    image.save(tmp_path / "c.gif")
    assert (read(tmp_path / "c.gif") == (200, 100, 50)).all()


def test_four_colours_of_print_and_fractions(tmp_path):
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert (read(tmp_path / "a.tif") == RED).all()
    Image.fromarray(np.full((2, 2), 0.2, np.float32)).save(tmp_path / "b.tif")
    assert (read(tmp_path / "b.tif") == 51).all()
    Image.fromarray(np.full((2, 2), -3.0, np.float32)).save(tmp_path / "c.tif")
    with pytest.raises(ValueError, match=r"^its values lie in -3\.\.-3$"):
        read(tmp_path / "c.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, orientation):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    # How a camera that was held so has stored it.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in (".png", ".tif"):
        image = Image.fromarray(np.ascontiguousarray(stored))
        image.save(tmp_path / f"a{suffix}", exif=exif)
        assert read_header(tmp_path / f"a{suffix}") == Header(3, 2, "L")
        found = read(tmp_path / f"a{suffix}", 3, 2)
        assert (found[..., 0] == upright).all()


def halves(width, height):
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def test_nothing_is_squashed(tmp_path):
    halves(80, 40).save(tmp_path / "a.png")
    cut = read(tmp_path / "a.png", 20, 20)
    assert (cut[:, :6] == RED).all()
    assert (cut[:, 14:] == BLUE).all()
    padded = read(tmp_path / "a.png", 20, 20, "pad", "lime")
    assert (padded[[0, 4, 15, 19]] == (0, 255, 0)).all()
    assert (padded[5:15, :7] == RED).all()
    assert (padded[5:15, 13:] == BLUE).all()


def test_pictures_of_the_size_are_not_touched(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    for fit in ("crop", "pad"):
        assert (read(tmp_path / "a.png", 5, 7, fit) == noise).all()
    # What only needs cutting is cut at whole pixels.
    assert (read(tmp_path / "a.png", 5, 5) == noise[1:6]).all()


def test_means_are_kept_in_making_smaller(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", 4, 4).mean() == pytest.approx(noise.mean(), abs=1.5)


@pytest.mark.parametrize(
    ("sizes", "size", "expected"),
    [
        ([(48, 48)] * 3, 0, (48, 48)),
        ([(300, 300)], 0, (64, 64)),
        ([(28, 32), (56, 64)], 0, (32, 28)),
        ([(32, 28)], 14, (14, 16)),
        ([(20, 30), (20, 40), (99, 50)], 0, (20, 20)),
        ([(20_000, 1)], 0, (4, 4)),
        ([(10, 10), (1, 1)], 8, (8, 8)),
    ],
)
def test_the_size_that_is_chosen(sizes, size, expected):
    found = frame_of([Header(w, h, "RGB") for w, h in sizes], Wish(size, "crop", "white"))
    assert found == expected


def test_rows_keep_their_classes_and_their_order(tmp_path):
    for name, begin in (("b", 0), ("a10", 40), ("a2", 80)):
        fill(tmp_path / "set" / name, 20, begin=begin)
    data = load_dataset("folder", path=tmp_path / "set")
    assert data.class_names == ("a2", "a10", "b")
    assert (len(data.train), len(data.validation), data.shape) == (54, 6, (3, 8, 8))
    first = {1: 80, 2: 40, 3: 0}
    for rows in (data.train, data.validation):
        x, labels = whole(rows)
        numbers = ((x[:, 0, 3, 3] + 1) * 127.5).round().int()
        assert all(
            first[int(k)] <= int(n) < first[int(k)] + 20
            for n, k in zip(numbers, labels, strict=True)
        )
        # Each is asked for by number, in any order, and more than once.
        some = torch.tensor([3, 0, 3, 1])
        assert torch.equal(rows[some][0], x[some])
        assert torch.equal(rows[some][1], labels[some])
    assert sorted([*levels(data)[0], *levels(data)[1]]) == sorted(
        [*range(20), *range(40, 60), *range(80, 100)]
    )
    assert "3 classes: a2 20, a10 20, b 20" in data.notes


def test_grey_stays_one_channel_however_it_is_stored(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(12):
        Image.new(("L", "RGB", "RGBA", "P")[i % 4], (8, 8), None).save(folder / f"{i}.png")
    assert load_dataset("folder", path=folder).shape == (1, 8, 8)
    Image.new("RGB", (8, 8), (0, 0, 1)).save(folder / "x.png")
    assert load_dataset("folder", path=folder).shape == (3, 8, 8)


def hostile(folder):
    """What may lie in a folder beside pictures."""
    (folder / "text.png").write_text("no picture\n")
    (folder / "empty.jpg").write_bytes(b"")
    whole_png = (folder / "000.png").read_bytes()
    (folder / "cut.png").write_bytes(whole_png[: len(whole_png) // 2])
    header = struct.pack(">II", 200_000, 200_000)
    bomb = whole_png[:16] + header + whole_png[24:]
    (folder / "bomb.png").write_bytes(bomb)
    os.mkfifo(folder / "pipe.png")
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_bytes(whole_png)
    os.symlink(folder, folder / "loop")
    os.symlink(folder / "gone.png", folder / "dangling.png")


def test_what_cannot_be_read_is_counted_and_named(tmp_path):
    folder = fill(tmp_path / "set", 12)
    hostile(folder)
    Image.new("RGB", (1, 1), RED).save(folder / "one.png")
    Image.new("RGB", (20_000, 2), BLUE).save(folder / "wide.png")
    data = load_dataset("folder", path=folder)
    assert len(data.train) + len(data.validation) == 14
    told = "\n".join(data.notes)
    for name in ("text.png (no picture)", "cut.png (", "bomb.png (", "pipe.png (", "empty.jpg (no"):
        assert name in told
    assert "unreadable, skipped: 5: " in told
    assert "passed over: 1 (notes.txt)" in told
    assert "not followed: 1 (loop)" in told
    assert "cannot be opened: 1 (dangling.png)" in told
    assert "hidden" not in told
    assert "14 pictures, 3 sizes, most often 8 × 8, RGB 14" in told
    assert "only 14 pictures" in told
    assert all(note and "\n" not in note for note in data.notes)


def test_links_that_lead_out_are_followed_and_told(tmp_path):
    folder, other = fill(tmp_path / "set", 12), fill(tmp_path / "other", 1, begin=50)
    os.symlink(other / "050.png", folder / "out.png")
    data = load_dataset("folder", path=folder)
    assert 50 in [*levels(data)[0], *levels(data)[1]]
    assert "links to pictures outside the folder, followed: 1" in data.notes


def test_names_of_any_bytes(tmp_path):
    for name in ("слова", "写真\u3000集", "a\nb", b"\xff\xfe".decode("utf-8", "surrogateescape")):
        fill(tmp_path / "set" / name, 5)
    data = load_dataset("folder", path=tmp_path / "set")
    assert set(data.class_names) == {"слова", "写真\u3000集", "a�b", "��"}
    "".join(data.class_names).encode()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such folder"),
        (lambda p: p.write_text("x"), "no folder of pictures"),
        (lambda p: p.mkdir(), "holds no pictures .*it is empty"),
        (lambda p: (p.mkdir(), (p / "a.txt").write_text("x")), r"holds no pictures .*1 \(a.txt\)"),
        (lambda p: (p.mkdir(), (p / "a.png").write_text("x")), r"can be read: a.png \(no picture"),
        (lambda p: fill(p, 3), "holds 3 pictures that can be read, at least 10"),
        (lambda p: (fill(p / "none", 9), fill(p / "b", 9)), "'none', the name of the absent"),
        (
            lambda p: (fill(p / "test" / "a", 9), fill(p / "Train" / "a", 9)),
            "its sub-folders Train, test are parts of a data set, .* take one of them, .*/test",
        ),
        (lambda p: os.symlink(p, p), "no folder of pictures"),
    ],
)
def test_folders_that_are_refused(tmp_path, make, message):
    make(tmp_path / "set")
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("folder", path=tmp_path / "set")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, r"size must lie in 4\.\.1024, or be 0, got 3"),
        ({"size": -1}, "size must be at least 0"),
        ({"size": 2000}, r"size must lie in 4\.\.1024"),
        ({"background": "whitee"}, "background must be a colour such as white, got 'whitee'"),
        ({"fit": "squash"}, "fit must be one of"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_options_that_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("folder", path=fill(tmp_path / "set"), **options)


def test_folders_without_classes(tmp_path):
    fill(tmp_path / "one" / "deep" / "deeper", 12)
    data = load_dataset("folder", path=tmp_path / "one")
    assert not data.labelled
    assert "all pictures lie in one sub-folder, deep: no classes" in data.notes
    fill(tmp_path / "mixed" / "a", 12)
    fill(tmp_path / "mixed", 12)
    data = load_dataset("folder", path=tmp_path / "mixed")
    assert not data.labelled
    assert any("beside and in sub-folders" in note for note in data.notes)


def test_a_class_with_one_picture_is_trained_on(tmp_path):
    fill(tmp_path / "set" / "many", 30)
    fill(tmp_path / "set" / "one", 1, begin=99)
    data = load_dataset("folder", path=tmp_path / "set")
    assert 99 in levels(data)[0]
    assert "classes of fewer than 10 rows: 'one' 1" in data.notes


def forbid(monkeypatch):
    def fail(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decoding, "read_picture", fail)
    monkeypatch.setattr(decoding, "read_header", fail)


def same(a, b):
    assert a.notes == b.notes
    assert a.fingerprint == b.fingerprint
    for x, y in zip(whole(a.train), whole(b.train), strict=True):
        assert torch.equal(x, y)


def test_decoded_once(tmp_path, monkeypatch):
    folder = fill(tmp_path / "set" / "a", 12).parent
    fill(folder / "b", 12, begin=20)
    begin = load_dataset("folder", path=folder)
    with monkeypatch.context() as patch:
        forbid(patch)
        same(load_dataset("folder", path=folder), begin)
    Image.new("RGB", (8, 8), (200, 0, 0)).save(folder / "a" / "003.png")
    changed = load_dataset("folder", path=folder)
    assert changed.fingerprint != begin.fingerprint
    assert 200 in [*levels(changed)[0], *levels(changed)[1]]
    # Another size is kept beside it.
    load_dataset("folder", path=folder, size=4)
    forbid(monkeypatch)
    same(load_dataset("folder", path=folder), changed)


@pytest.mark.parametrize("damage", ["cut", "edited", "notes"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    folder = fill(tmp_path / "set")
    begin = load_dataset("folder", path=folder)
    (notes,) = (tmp_path / "cache").rglob("*.json")
    file = notes.with_suffix("")
    content = file.read_bytes()
    if damage == "notes":
        notes.write_text("{}")
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:-1] + b"\x07")
    same(load_dataset("folder", path=folder), begin)
    assert file.read_bytes() == content


def test_nothing_is_kept_where_nothing_may_be(tmp_path, monkeypatch):
    folder = fill(tmp_path / "set")
    begin = load_dataset("folder", path=folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("DDPM_NO_CACHE", "1")
    same(load_dataset("folder", path=folder), begin)
    assert not (tmp_path / "other").exists()
    monkeypatch.delenv("DDPM_NO_CACHE")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="decoded pictures cannot be kept"):
        same(load_dataset("folder", path=folder), begin)


def test_what_memory_does_not_take_is_mapped(tmp_path, monkeypatch):
    folder = fill(tmp_path / "set", 30)
    begin = load_dataset("folder", path=folder)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    mapped = load_dataset("folder", path=folder)
    assert isinstance(mapped.train.pixels, np.memmap)
    same(mapped, begin)
    monkeypatch.setenv("DDPM_NO_CACHE", "1")
    with pytest.raises(ValueError, match="the pictures take 0.0 MB, and there is neither"):
        load_dataset("folder", path=folder)


def test_order_of_the_listing_is_that_of_names_not_of_the_disk(tmp_path):
    fill(tmp_path / "set" / "b", 3)
    fill(tmp_path / "set" / "a", 3)
    found = list_pictures(tmp_path / "set")
    assert found.names == tuple(f"{c}/{i:03d}.png" for c in "ab" for i in range(3))
    assert found.cells == ("a",) * 3 + ("b",) * 3
