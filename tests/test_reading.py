"""Files of the user's: regular ones of bounded size, whose claims are checked."""

import gzip
import os
import resource
import stat
import threading

import numpy as np
import pytest

from denoising_diffusion.data import idx_file, load_dataset, read_points
from denoising_diffusion.data.idx_file import read_idx
from denoising_diffusion.data.reading import MOST_BYTES, read_npy
from denoising_diffusion.files import open_regular, read_bytes
from test_idx import pack, small_set

MAGIC = b"\x93NUMPY"


def special(tmp_path, what):
    """A path that is no regular file that can be read."""
    path = tmp_path / "a.csv"
    if what == "fifo":
        os.mkfifo(path)
    if what == "device":
        path.symlink_to("/dev/zero")
    if what == "folder":
        path.mkdir()
    if what == "loop":
        path.symlink_to(path)
    if what == "broken":
        path.symlink_to(tmp_path / "nothing")
    if what == "through":
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "a.csv"
    if what == "long":
        path = tmp_path / ("a" * 5000 + ".csv")
    if what == "nul":
        path = str(tmp_path) + "/a\0.csv"
    if what == "sparse":
        with path.open("wb") as file:
            file.truncate(1 << 41)
    return path


REASONS = {
    "fifo": "cannot be read: it is a pipe or a device, not a regular file",
    "device": "cannot be read: it is a pipe or a device, not a regular file",
    "folder": "cannot be read: it is a folder, not a regular file",
    "loop": "cannot be read: Too many levels of symbolic links",
    "broken": "no such file",
    "through": "cannot be read: Not a directory",
    "long": "cannot be read: File name too long",
    "nul": "no file has such a name",
    "sparse": "holds 2,199,023,255,552 bytes, at most",
}


@pytest.mark.parametrize("what", REASONS)
def test_what_is_no_regular_file_is_named_at_once(tmp_path, what):
    path = special(tmp_path, what)
    for call in (lambda p: read_bytes(p, 1000), read_points, read_idx, lambda p: read_npy(p)):
        with pytest.raises(ValueError, match=REASONS[what]) as error:
            call(path)
        assert len(str(error.value).splitlines()) == 1
        if what != "nul":
            assert str(error.value).startswith(f"{path}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_named(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("1\n" * 12)
    file.chmod(0)
    with pytest.raises(ValueError, match=r"a\.csv: cannot be read: Permission denied"):
        read_points(file)


def test_a_pipe_with_a_writer_is_not_read(tmp_path):
    path = special(tmp_path, "fifo")
    writer = threading.Thread(target=lambda: os.close(os.open(path, os.O_WRONLY)), daemon=True)
    writer.start()
    with pytest.raises(ValueError, match="a pipe or a device"):
        while True:
            read_bytes(path, 9)
    # Let it go, had it come too late.
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    writer.join(5)


def test_the_most_that_is_read_is_a_limit(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(bytes(range(100)))
    assert read_bytes(file, 100) == bytes(range(100))
    with pytest.raises(ValueError, match="holds 100 bytes, at most 99 are read"):
        read_bytes(file, 99)
    with open_regular(str(file), 100) as opened:
        assert stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
        assert opened.read(3) == b"\0\1\2"


# .npy


@pytest.mark.parametrize(
    "array",
    [
        np.arange(30.0).reshape(10, 3).astype(">f8"),
        np.asfortranarray(np.arange(30).reshape(10, 3)),
        np.arange(30).reshape(10, 3)[:, ::-1].astype(">i2"),
        np.arange(30, dtype=np.uint64).reshape(10, 3),
        np.arange(30, dtype=np.longdouble).reshape(10, 3),
        np.float64(3.5),
        np.zeros((0, 2)),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_numbers_of_any_form_are_read(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype == np.float64
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, np.asarray(array, np.float64))


def npy(header, data=b"", version=b"\1\0"):
    text = header.encode()
    return (
        MAGIC + version + len(text).to_bytes(2 if version == b"\1\0" else 4, "little") + text + data
    )


def claim(shape, descr="'<f8'", fortran=False):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"


@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_every_version_of_the_format_is_read(tmp_path, version):
    data = np.arange(20.0)
    (tmp_path / "a.npy").write_bytes(npy(claim((10, 2)), data.tobytes(), version))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), data.reshape(10, 2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npy(claim((10**9, 10**9))), f"cut short: its header tells {8 * 10**18} bytes of data"),
        (npy(claim((10**30, 2))), "cut short"),
        (npy(claim((10, 2)), bytes(159)), "cut short: its header tells 160 .*, it has 159"),
        (npy(claim((10, 2)), bytes(161)), "too long: its header tells 160 .*, it has 161"),
        (npy(claim((-10, -2)), bytes(160)), "no .npy data"),
        (npy(claim((10, 2), "'|O'"), bytes(160)), "it holds Python objects"),
        (npy(claim((10,), "[('a', '<f8'), ('b', 'O')]"), bytes(160)), "it holds Python objects"),
        (npy(claim((10,), "[('a', '<f8'), ('b', '<f8')]"), bytes(160)), "its type is"),
        (npy(claim((10, 2), "'<M8[s]'"), bytes(160)), "its type is datetime64"),
        (npy(claim((10, 2), "'|b1'"), bytes(20)), "its type is bool"),
        (npy(claim((10, 2), "'<c16'"), bytes(320)), "its type is complex128"),
        (npy(claim((10, 2), "'nonsense'"), bytes(160)), "no .npy data"),
        (npy(claim("(" * 3000 + ")" * 3000)), "no .npy data"),
        (npy("{'descr': __import__('os').system('true')}"), "no .npy data"),
        (npy(claim((10, 2)), bytes(160), b"\7\7"), "no .npy data"),
        (npy("{'descr': '<f8'\n{\n'"), "no .npy data"),
        (MAGIC, "no .npy data"),
        (b"", "no .npy data"),
        (b"PK\3\4" + bytes(99), "an .npz archive of several arrays"),
    ],
)  # fmt: skip
def test_what_npy_claims_is_checked(tmp_path, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=reason) as error:
        read_points(tmp_path / "a.npy")
    assert str(tmp_path / "a.npy") in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ValueError, match="no .npy file of numbers"):
        load_dataset("signals", path=tmp_path / "a.npy")


def test_an_npz_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 2)))
    with pytest.raises(
        ValueError, match=r"unknown suffix '\.npz'.*save one array with numpy\.save"
    ):
        read_points(tmp_path / "a.npz")
    assert MOST_BYTES == 1 << 32


# Packed files


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_packed_is_told_by_content(tmp_path):
    arrays = small_set(tmp_path)
    for i, file in enumerate(sorted(tmp_path.iterdir())):
        raw = file.read_bytes()
        if i % 2:
            file.write_bytes(gzip.compress(raw))  # packed without .gz
        else:
            file.rename(file.with_name(file.name + ".gz"))  # not packed, with .gz
    data = load_dataset("mnist", path=tmp_path)
    grey = (data.test[np.arange(10)][0][:, 0] + 1) * 127.5
    np.testing.assert_allclose(grey.numpy(), arrays[2], atol=1e-4)


@pytest.mark.parametrize(
    ("claimed", "held", "reason"),
    [
        (100, 1 << 28, "too long: its header tells 116 bytes, it has at least 132"),
        (1 << 20, 1 << 28, "too long"),
        (1 << 20, 1 << 10, "cut short: its header tells 1048592 bytes, it has 1040"),
        (1 << 31, 1 << 28, r"tells 2,147,483,664 bytes, at most 1,073,741,824 are read"),
    ],
)
def test_a_packed_file_is_unpacked_as_far_as_it_claims(tmp_path, claimed, held, reason):
    header = b"\0\0\x08\3" + claimed.to_bytes(4, "big") + b"\0\0\0\1" * 2
    file = tmp_path / "bomb.gz"
    with gzip.open(file, "wb", 1) as packed:
        packed.write(header)
        for _ in range(max(1, held >> 20)):
            packed.write(bytes(min(held, 1 << 20)))
    before = peak()
    with pytest.raises(ValueError, match=reason):
        idx_file.parse_idx(read_idx(file), file)
    assert peak() - before < 32 << 20


def test_damage_within_a_packed_file_is_named(tmp_path):
    file = tmp_path / "a.gz"
    whole = gzip.compress(pack(np.arange(200, dtype=np.uint8)))
    for content in (
        whole[:-9],
        whole[:40] + b"\xff" * 9 + whole[49:],
        b"\x1f\x8b",
        whole[:-8] + bytes(8),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gz: cannot be read: |is no IDX"):
            idx_file.parse_idx(read_idx(file), file)
