"""What other systems lack or refuse, simulated: the package was run on Linux alone."""

import os
import re
from pathlib import Path, PureWindowsPath

import pytest

import denoising_diffusion
from denoising_diffusion import files, locks, memory
from denoising_diffusion.config import Sampling
from denoising_diffusion.run import Run
from denoising_diffusion.run.page import _without_paths
from denoising_diffusion.run.single import picture_names

ROOT = Path(denoising_diffusion.__file__).parent
NOT_ON_WINDOWS = {
    "os": "fork sysconf uname getuid geteuid getpgid killpg mkfifo mknod sched_getaffinity nice "
    "statvfs chown getloadavg setsid wait waitpid O_NONBLOCK O_CLOEXEC O_DIRECTORY",
    "signal": "SIGALRM SIGHUP SIGKILL SIGUSR1 SIGCHLD SIGPIPE alarm setitimer pause",
    "time": "tzset",
}
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{n}{i}" for n in ("COM", "LPT") for i in range(10))}
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "posix", "crypt"}


@pytest.fixture
def windows(monkeypatch):
    """Its rules for open files, as far as locks and files ask for them."""
    monkeypatch.setattr(locks, "WINDOWS", True)

    def kill(process, number):
        raise AssertionError("on Windows this is Ctrl-C")

    monkeypatch.setattr(os, "kill", kill)
    return monkeypatch


def refused(monkeypatch, method, which, times=1000):
    """Let a method of paths fail for those with this in their names, so many times."""
    left, real = [times], getattr(Path, method)

    def asked(self, *arguments, **options):
        if which in self.name and left[0] > 0:
            left[0] -= 1
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, method, asked)


def test_windows_sweeps_what_nobody_has_open(tmp_path, windows):
    dead, open_still = (tmp_path / f".x.{n}.tmp" for n in (2**22 + 1, 2**22 + 2))
    dead.touch()
    open_still.touch()
    refused(windows, "unlink", open_still.name)
    files.write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert {f.name for f in tmp_path.iterdir()} == {"x", open_still.name}


def test_windows_locks_without_a_name_and_cleans_up_once_it_let_go(tmp_path, windows):
    refused(windows, "write_text", ".lock")
    refused(windows, "unlink", ".lock", 1)
    with locks.locked(tmp_path / "run"):
        refusal = "is being written by another process"
        with pytest.raises(ValueError, match=refusal), locks.locked(tmp_path / "run"):
            pass
    assert not list(tmp_path.iterdir())


def test_windows_waits_for_readers_and_keeps_what_was_there(tmp_path, windows):
    windows.setattr(locks, "_WAITS", (0.0, 0.0, 0.0))
    file = tmp_path / "x"
    file.write_bytes(b"old")
    refused(windows, "replace", ".x.", 3)
    files.write(file, b"new")
    assert file.read_bytes() == b"new"
    refused(windows, "replace", ".x.", 4)
    with pytest.raises(PermissionError) as error:
        files.write(file, b"newer")
    assert error.value.filename == str(file)
    assert file.read_bytes() == b"new"
    assert [f.name for f in tmp_path.iterdir()] == ["x"]


def test_elsewhere_a_refusal_is_told_at_once(tmp_path, monkeypatch):
    refused(monkeypatch, "replace", ".x.", 1)
    with pytest.raises(PermissionError):
        files.write(tmp_path / "x", b"new")


def test_memory_is_what_the_system_tells(monkeypatch):
    def nothing(self, *arguments, **options):
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", nothing)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.available() == physical  # macOS
    monkeypatch.delattr(os, "sysconf")
    assert memory.available() == memory.UNKNOWN  # Windows


def test_files_are_read_without_flags_that_windows_lacks(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_NONBLOCK")
    (tmp_path / "x").write_bytes(b"a\r\n\x1a")
    assert files.read_bytes(tmp_path / "x", 10) == b"a\r\n\x1a"


def test_a_file_on_another_drive_is_remembered_by_its_whole_path(tmp_path, monkeypatch):
    def relpath(path, start):
        raise ValueError(f"path is on mount 'D:', start on mount 'C:': {path}, {start}")

    monkeypatch.setattr(os.path, "relpath", relpath)
    artefacts = Run(tmp_path).artefacts
    artefacts.put(tmp_path / "x.png", b"picture", {"step": 1})
    assert artefacts.current(tmp_path / "x.png", {"step": 1})
    assert artefacts.recorded({"step": 1}) == [tmp_path / "x.png"]


def test_no_page_tells_a_path_of_any_system():
    value = {"path": r"C:\Users\me\points.csv", "old": ["/home/me/x", "mse", "label-free"]}
    assert _without_paths(value) == {"path": "points.csv", "old": ["x", "mse", "label-free"]}


def test_files_of_single_pictures_may_be_called_so_on_windows():
    labels = ["a:b", "CON", 'x/y\\z"', "<*?>|", "trailing.", "nul"]
    for name in picture_names(labels, Sampling(num=len(labels))):
        assert not set(name) & set('<>:"/\\|?*')
        assert name.split(".")[0].upper() not in RESERVED
        assert PureWindowsPath(name).name == name


def sources():
    return {str(p.relative_to(ROOT)): p.read_text("utf-8") for p in sorted(ROOT.rglob("*.py"))}


def test_nothing_is_named_that_windows_lacks():
    missing = "|".join(rf"\b{m}\.(?:{'|'.join(n.split())})\b" for m, n in NOT_ON_WINDOWS.items())
    pattern = re.compile(rf"{missing}|^ *(?:import|from) (?:{'|'.join(MODULES)})\b", re.MULTILINE)
    assert pattern.search("    os.fork()") and pattern.search("\nfrom fcntl import flock")
    found = {(path, name) for path, text in sources().items() for name in pattern.findall(text)}
    assert found == {("memory.py", "os.sysconf")}  # which is tried


def test_text_is_read_and_written_in_a_named_encoding():
    plain = {"memory.py", "locks.py"}  # digits alone
    # What PyAV opens is no text.
    pattern = re.compile(r"(?:read_text|write_text|(?<!av\.)open)\((?:[^()]|\([^()]*\))*\)")
    called = {(p, c) for p, text in sources().items() for c in pattern.findall(text)}
    assert len(called) > 10
    for path, call in called:
        named = "encoding" in call or '"utf-8"' in call
        text = call.startswith(("read_text", "write_text")) or re.search(r'"[rwa]"', call)
        assert named or not text or path in plain, f"{path}: {call}"
    # lazy_loader reads it in the encoding of the system.
    assert (ROOT / "__init__.pyi").read_bytes().isascii()
