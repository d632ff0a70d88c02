import functools
import gzip
import hashlib
import http.server
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from denoising_diffusion.data import idx, load_dataset, split_validation, whole
from denoising_diffusion.data.idx import KNOWN, PARTS, find_idx_set, parse_idx, read_idx_folder

SHARED = Path(os.environ.get("DDPM_DATA", "nowhere").split(os.pathsep)[0]) / "mnist"
needs_mnist = pytest.mark.skipif(
    not SHARED.is_dir(), reason="MNIST is not here: set DDPM_DATA to the folder that holds mnist/"
)


def pack(array, kind=0x08):
    header = bytes([0, 0, kind, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def small_set(folder, train=30, test=10, side=28, packed=False, seed=0):
    """A folder of random IDX files; the arrays."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for n in (train, test):
        arrays.append(rng.integers(0, 256, (n, side, side), dtype=np.uint8))
        arrays.append((np.arange(n) % 3).astype(np.uint8))
    for part, array in zip(PARTS, arrays, strict=True):
        raw = pack(array)
        name = folder / (part + ".gz" if packed else part)
        name.write_bytes(gzip.compress(raw) if packed else raw)
    return arrays


def known_as(folder, monkeypatch, mirrors=()):
    """Make the set in this folder known by the name mnist."""

    def md5(data):
        return hashlib.md5(data).hexdigest()

    files = [folder / (p + ".gz") for p in PARTS]
    known = replace(
        KNOWN["mnist"],
        mirrors=tuple(mirrors),
        hashes=tuple((md5(f.read_bytes()), md5(gzip.decompress(f.read_bytes()))) for f in files),
    )
    monkeypatch.setitem(idx.KNOWN, "mnist", known)


@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(tmp_path, packed):
    arrays = small_set(tmp_path, packed=packed)
    found = read_idx_folder(tmp_path)
    read = (found.train_images, found.train_labels, found.test_images, found.test_labels)
    for written, got in zip(arrays, read, strict=True):
        np.testing.assert_array_equal(written, got)
    assert found.name == "idx"
    assert found.class_names == ("0", "1", "2")


def test_packing_does_not_change_the_fingerprint(tmp_path):
    small_set(tmp_path / "a")
    small_set(tmp_path / "b", packed=True)
    one, other = (read_idx_folder(tmp_path / n).fingerprint for n in "ab")
    assert one == other


def test_dotted_names_are_read_too(tmp_path):
    small_set(tmp_path)
    for part in PARTS:
        (tmp_path / part).rename(tmp_path / part.replace("-idx", ".idx"))
    assert read_idx_folder(tmp_path).name == "idx"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "no IDX file: it begins with nothing"),
        (b"PK\x03\x04", "no IDX file: it begins with 504b0304"),
        (pack(np.zeros((2, 3), ">f4"), 0x0D), "holds float32; only IDX files of uint8 are read"),
        (pack(np.zeros((2, 3), np.uint8))[:-1], "cut short: its header tells 18 bytes, it has 17"),
        (pack(np.zeros((2, 3), np.uint8)) + b"x", "too long: its header tells 18"),
        (pack(np.zeros((2, 3), np.uint8))[:7], "cut short"),
        (b"\0\0\x08\x04" + b"\x80\0\0\0" * 4, f"its header tells {20 + 2**124} bytes, it has 20"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "no IDX file: it begins with 000008ff"),
    ],
)
def test_bad_bytes(raw, message):
    with pytest.raises(ValueError, match=message):
        parse_idx(raw, "file")


def test_labels_that_do_not_match(tmp_path):
    small_set(tmp_path)
    (tmp_path / PARTS[1]).write_bytes(pack(np.zeros(29, np.uint8)))
    with pytest.raises(ValueError, match=r"train-labels.*labels of shape \(29,\).*30 images"):
        read_idx_folder(tmp_path)


def test_sizes_that_do_not_match(tmp_path):
    small_set(tmp_path)
    (tmp_path / PARTS[2]).write_bytes(pack(np.zeros((10, 8, 8), np.uint8)))
    with pytest.raises(ValueError, match=r"t10k-images.*\(8, 8\).*\(28, 28\)"):
        read_idx_folder(tmp_path)


def test_a_file_that_is_missing_or_cut(tmp_path):
    small_set(tmp_path, packed=True)
    file = tmp_path / (PARTS[3] + ".gz")
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(ValueError, match=r"t10k-labels.*cannot be read: "):
        read_idx_folder(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match="lacks t10k-labels-idx1-ubyte"):
        read_idx_folder(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        read_idx_folder(tmp_path / "nowhere")


def test_found_in_listed_folders_by_content(tmp_path, monkeypatch):
    small_set(tmp_path / "other" / "mnist", packed=True, seed=1)
    small_set(tmp_path / "right" / "mnist", packed=True, seed=2)
    known_as(tmp_path / "right" / "mnist", monkeypatch)
    monkeypatch.setenv("DDPM_DATA", os.pathsep.join(str(tmp_path / n) for n in ("other", "right")))
    assert find_idx_set("mnist").name == "mnist"
    monkeypatch.setenv("DDPM_DATA", str(tmp_path / "right" / "mnist"))
    assert find_idx_set("mnist").name == "mnist"


@pytest.fixture
def mirror(tmp_path):
    """A web server over tmp_path/mirror; its address and the folder."""
    folder = tmp_path / "mirror"
    small_set(folder, packed=True, seed=3)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_falls_back_to_the_next_mirror(tmp_path, monkeypatch, mirror):
    address, folder = mirror
    known_as(folder, monkeypatch, [address + "gone/", address])
    monkeypatch.setenv("DDPM_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_idx_set("mnist").name == "mnist"
    cached = tmp_path / "cache" / "denoising-diffusion" / "mnist"
    assert sorted(p.name for p in cached.iterdir()) == sorted(p + ".gz" for p in PARTS)
    for file in folder.iterdir():
        file.unlink()
    assert find_idx_set("mnist").name == "mnist"  # now from the cache


def test_download_of_another_content_is_refused(tmp_path, monkeypatch, mirror):
    address, folder = mirror
    known_as(folder, monkeypatch, [address])
    (folder / (PARTS[2] + ".gz")).write_bytes(b"something else")
    monkeypatch.setenv("DDPM_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"t10k-images.*its hash does not match.*DDPM_DATA"):
        find_idx_set("mnist")
    cached = tmp_path / "cache" / "denoising-diffusion" / "mnist"
    assert not any("t10k" in p.name for p in cached.iterdir())


def test_without_network_the_message_says_what_goes_where(tmp_path, monkeypatch):
    known = replace(KNOWN["mnist"], mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setitem(idx.KNOWN, "mnist", known)
    monkeypatch.setenv("DDPM_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"put train-images-idx3-ubyte\[.gz\].* into .*mnist"):
        find_idx_set("mnist")


def test_any_set_may_take_the_place_of_a_named_one(tmp_path):
    arrays = small_set(tmp_path, train=30, test=10, side=8)
    data = load_dataset("mnist", path=tmp_path, seed=0)
    assert (data.name, data.kind, data.class_names) == ("idx", "images", ("0", "1", "2"))
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 10)
    assert data.shape == (1, 8, 8) and data.reference is data.test
    parts = zip(split_validation(30, 0.1, 0), (data.train, data.validation), strict=True)
    for picked, rows in parts:
        images, labels = whole(rows)
        grey = (images[:, 0] + 1) * 127.5
        np.testing.assert_allclose(grey.numpy(), arrays[0][picked.numpy()], atol=1e-4)
        assert labels.tolist() == (arrays[1][picked.numpy()].astype(int) + 1).tolist()
    assert whole(data.test)[1].tolist() == (arrays[3].astype(int) + 1).tolist()


def relabelled(folder, train, test, dtype=np.uint8, kind=0x08):
    """The set in this folder with other labels."""
    for part, labels in ((1, train), (3, test)):
        (folder / PARTS[part]).write_bytes(pack(np.asarray(labels).astype(dtype), kind))


@pytest.mark.parametrize("values", [(0, 3, 7), (1, 2, 26), (5, 250, 255), (9,)])
def test_classes_are_the_labels_that_occur(tmp_path, values):
    small_set(tmp_path)
    train, test = np.resize(values, 30), np.resize(values[-1:], 10)
    relabelled(tmp_path, train, test)
    data = load_dataset("mnist", path=tmp_path)
    assert data.class_names == tuple(map(str, values))
    parts = zip(split_validation(30, 0.1, 0), (data.train, data.validation), strict=True)
    for picked, rows in parts:
        named = [int(data.class_names[k - 1]) for k in whole(rows)[1].tolist()]
        assert named == train[picked.numpy()].tolist()
    assert whole(data.test)[1].tolist() == [len(values)] * 10


def test_labels_may_be_wider_integers_and_negative(tmp_path):
    small_set(tmp_path)
    relabelled(tmp_path, np.resize([-1, 300], 30), [300] * 10, ">i2", 0x0B)
    data = load_dataset("mnist", path=tmp_path)
    assert data.class_names == ("-1", "300")
    assert whole(data.test)[1].tolist() == [2] * 10
    relabelled(tmp_path, np.resize([0.0, 1.0], 30), [0.0] * 10, ">f4", 0x0D)
    with pytest.raises(
        ValueError, match="train-labels.* holds float32; only IDX files of integers"
    ):
        load_dataset("mnist", path=tmp_path)


def test_a_label_that_is_never_trained_on_is_refused(tmp_path):
    small_set(tmp_path)
    relabelled(tmp_path, np.resize([0, 3], 30), [0] * 9 + [7])
    with pytest.raises(ValueError, match=r"t10k-labels.* has the label 7, which .*train-labels"):
        read_idx_folder(tmp_path)


def test_no_class_is_held_out_whole(tmp_path):
    small_set(tmp_path)
    _, held_out = split_validation(30, 0.1, 0)
    labels = np.zeros(30)
    labels[held_out[1]] = 4
    relabelled(tmp_path, labels, np.resize([0, 4], 10))
    data = load_dataset("mnist", path=tmp_path)
    assert whole(data.train)[1].bincount().tolist() == [0, 27, 1]
    assert whole(data.validation)[1].tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [None, 5, 1.5, b"x", ["a"]])
def test_wrong_types_are_named(tmp_path, monkeypatch, wrong):
    monkeypatch.setenv("DDPM_DATA", "")
    with pytest.raises(TypeError, match="path must be a path, got"):
        read_idx_folder(wrong)
    if not isinstance(wrong, bytes):
        with pytest.raises(TypeError, match="raw must be bytes, got"):
            parse_idx(wrong, "file")
    with pytest.raises(
        ValueError, match="name must be one of mnist, fashion-mnist, kmnist, .*, got"
    ):
        find_idx_set(wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match="path must be a path, got"):
            idx.mnist(path=wrong)
    if wrong != 5:
        with pytest.raises(TypeError, match="seed must be an integer, got"):
            idx.fashion_mnist(path=str(tmp_path), seed=wrong)


def test_paths_that_no_file_can_have(tmp_path):
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(ValueError, match="is no folder"):
            read_idx_folder(path)


# The sisters of MNIST


def sister(folder, name, labels=None, dtype=np.uint8, kind=0x08, suffix=""):
    """A folder of a known set, with the names of its files; the arrays."""
    known, first = KNOWN[name], KNOWN[name].first
    folder.mkdir(parents=True)
    rng, arrays = np.random.default_rng(0), []
    for n in (54, 27):
        classes = np.arange(n) % 27 % len(known.class_names) + first
        arrays.append(rng.integers(0, 256, (n, 6, 4), dtype=np.uint8))
        arrays.append((classes if labels is None else labels(classes)).astype(dtype))
    for part, array in zip(known.files, arrays, strict=True):
        raw = pack(array, kind if "labels" in part else 0x08)
        (folder / (part + suffix)).write_bytes(gzip.compress(raw) if suffix else raw)
    return arrays


def test_the_files_of_the_known_sets_are_called_as_published():
    assert KNOWN["emnist-letters"].files == (
        "emnist-letters-train-images-idx3-ubyte",
        "emnist-letters-train-labels-idx1-ubyte",
        "emnist-letters-test-images-idx3-ubyte",
        "emnist-letters-test-labels-idx1-ubyte",
    )
    assert KNOWN["qmnist"].files[1::2] == (
        "qmnist-train-labels-idx2-int",
        "qmnist-test-labels-idx2-int",
    )
    counts = {name: len(known.class_names) for name, known in KNOWN.items()}
    assert counts == {
        "mnist": 10, "fashion-mnist": 10, "kmnist": 10, "qmnist": 10, "emnist-balanced": 47,
        "emnist-bymerge": 47, "emnist-byclass": 62, "emnist-letters": 26, "emnist-digits": 10,
        "emnist-mnist": 10,
    }  # fmt: skip
    # The mappings that come with EMNIST, as codes of ASCII.
    assert KNOWN["emnist-balanced"].name_of(36) == "a"
    assert KNOWN["emnist-balanced"].name_of(46) == "t"
    assert KNOWN["emnist-byclass"].name_of(61) == "z"
    assert KNOWN["emnist-letters"].name_of(1) == "a"
    assert KNOWN["emnist-letters"].name_of(26) == "z"
    for known in KNOWN.values():
        assert len(set(known.class_names)) == len(known.class_names)
        assert bool(known.mirrors) == bool(known.hashes)
        assert all(len(md5) in (0, 32) for pair in known.hashes for md5 in pair)


def test_the_letters_of_emnist_stand_upright_and_count_from_1(tmp_path):
    arrays = sister(tmp_path / "x", "emnist-letters", suffix=".gz")
    data = load_dataset("emnist", split="letters", path=tmp_path / "x")
    assert data.name == "emnist-letters"
    assert data.class_names == tuple("abcdefghijklmnopqrstuvwxyz")
    assert data.shape == (1, 4, 6)
    images, labels = whole(data.test)
    np.testing.assert_allclose(
        (images[:, 0].numpy() + 1) * 127.5, arrays[2].transpose(0, 2, 1), atol=1e-4
    )
    assert labels.tolist() == arrays[3].tolist()
    assert "taken for emnist-letters" in data.notes[0]


def test_the_labels_of_qmnist_have_eight_columns(tmp_path):
    def wide(classes):
        others = np.arange(7) + 1000 * classes[:, None]
        return np.concatenate([classes[:, None], others], axis=1)

    sister(tmp_path / "x", "qmnist", wide, ">i4", 0x0C)
    data = load_dataset("qmnist", path=tmp_path / "x")
    assert (data.name, data.class_names) == ("qmnist", tuple("0123456789"))
    assert whole(data.test)[1].tolist() == [n % 10 + 1 for n in range(27)]
    assert load_dataset("mnist", path=tmp_path / "x").fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "place", ["KMNIST/raw", "KMNIST", "kmnist", "raw", "gzip", "."], ids=lambda p: p
)
def test_the_folders_of_torchvision_are_found(tmp_path, monkeypatch, place):
    sister(tmp_path / "root" / place if place != "." else tmp_path / "root", "kmnist")
    data = load_dataset("kmnist", path=tmp_path / "root")
    assert data.name == "kmnist"
    assert data.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert "content is not checked" in data.notes[0]
    monkeypatch.setenv("DDPM_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if "mnist" in place.lower():
        assert find_idx_set("kmnist").name == "kmnist"
    else:  # any set may lie there
        monkeypatch.setitem(idx.KNOWN, "kmnist", replace(KNOWN["kmnist"], mirrors=(), hashes=()))
        with pytest.raises(ValueError, match="kmnist is not on this machine and is not downl"):
            find_idx_set("kmnist")


def test_mnist_is_not_taken_for_kmnist(tmp_path, monkeypatch):
    small_set(tmp_path / "kmnist", packed=True)
    known_as(tmp_path / "kmnist", monkeypatch)
    assert load_dataset("kmnist", path=tmp_path).name == "mnist"
    assert load_dataset("kmnist", path=tmp_path).class_names == ("0", "1", "2")


def test_kmnist_as_published_is_known_by_its_packed_files(tmp_path, monkeypatch):
    sister(tmp_path / "x", "kmnist", suffix=".gz")
    files = [tmp_path / "x" / (p + ".gz") for p in KNOWN["kmnist"].files]
    hashes = tuple((hashlib.md5(f.read_bytes()).hexdigest(), "") for f in files)
    monkeypatch.setitem(idx.KNOWN, "kmnist", replace(KNOWN["kmnist"], hashes=hashes))
    data = load_dataset("mnist", path=tmp_path / "x")
    assert (data.name, data.notes) == ("kmnist", ())


def test_of_several_sets_the_one_that_was_asked_for_is_read(tmp_path):
    for name in ("emnist-letters", "emnist-digits", "emnist-balanced"):
        sister(tmp_path / name, name)
        for file in (tmp_path / name).iterdir():
            (tmp_path / "EMNIST" / "raw").mkdir(parents=True, exist_ok=True)
            file.rename(tmp_path / "EMNIST" / "raw" / file.name)
        (tmp_path / name).rmdir()
    assert load_dataset("emnist", split="digits", path=tmp_path).name == "emnist-digits"
    assert load_dataset("emnist", path=tmp_path / "EMNIST").name == "emnist-balanced"
    with pytest.raises(ValueError, match="holds several sets, emnist-balanced, emnist-letters"):
        load_dataset("mnist", path=tmp_path)
    with pytest.raises(ValueError, match=r"data\.split must be one of balanced, byclass"):
        load_dataset("emnist", split="capitals", path=tmp_path)
    for file in (tmp_path / "EMNIST" / "raw").glob("emnist-[bl]*"):
        file.unlink()
    assert load_dataset("mnist", path=tmp_path).name == "emnist-digits"
    with pytest.raises(ValueError, match="lacks emnist-letters-train-images-idx3-ubyte"):
        load_dataset("emnist", split="letters", path=tmp_path)


def test_what_is_not_downloaded_says_which_files_go_where(tmp_path, monkeypatch):
    monkeypatch.setenv("DDPM_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        ValueError,
        match=r"emnist-letters is not on this machine and is not downl.*"
        r"put emnist-letters-train-images-idx3-ubyte\[\.gz\].* into .*emnist-lett",
    ):
        load_dataset("emnist", split="letters")


@needs_mnist
def test_mnist_itself():
    data = load_dataset("mnist", seed=0)
    assert data.name == "mnist"
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert whole(data.test)[1].bincount().tolist() == [
        0, 980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    both = sum(whole(rows)[0].double().sum() for rows in (data.train, data.validation))
    grey = (both / (60_000 * 784) + 1) / 2
    assert abs(grey.item() - 0.1306604762738429) < 1e-7  # the published mean of the training set
