"""Exit codes hold whatever the streams, signals and processes do, from the first import on."""

import contextlib
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from denoising_diffusion import cli
from denoising_diffusion.run.loop import is_told
from denoising_diffusion.run.stop import Interrupted, stop_on_signal
from test_faults import SMALL
from test_runs import ddpm

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="needs /dev/full")


def environment(**more):
    """As the user's, without the setting that hides how streams are closed."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def shell(line, **more):
    command = line.replace("ddpm", f"{sys.executable} -m denoising_diffusion")
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(**more),
    )


@pytest.mark.parametrize("command", ["ddpm recipes", "ddpm --help", "ddpm train --help"])
def test_a_reader_that_left_is_no_error(command):
    done = shell(f"{command} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")
    assert shell(f"{command} >&-").returncode == 0


@needs_full
@pytest.mark.parametrize("command", ["ddpm recipes", "ddpm --help", "ddpm --version"])
def test_a_full_disk_behind_standard_output_is_one_line_and_exit_1(command):
    done = shell(f"{command} > {FULL}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr or "disk is full" in done.stderr


@needs_full
def test_an_error_that_cannot_be_printed_keeps_its_code():
    assert shell(f"ddpm info nowhere 2> {FULL}").returncode == 2
    assert shell("ddpm info nowhere 2>&-").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_the_output_takes_all_that_is_printed(encoding):
    for command in ("recipes", "--help", "sample --help"):
        done = shell(f"ddpm {command}", PYTHONIOENCODING=encoding, LC_ALL="C")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("after", [0.15, 0.4, 0.8, 1.5])
def test_ctrl_c_at_any_time_is_one_line_and_130(tmp_path, after):
    command = [sys.executable, "-m", "denoising_diffusion", "train", "spiral", "--out", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    if "Traceback" in errors or not errors:
        assert "denoising_diffusion" not in errors  # Python itself was still starting
    else:
        assert process.returncode == 130
        assert errors.splitlines()[-1].startswith("ddpm: stopped")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, 2),
        (errno.ENOTDIR, 2),
        (errno.ENAMETOOLONG, 2),
        (errno.EROFS, 2),
        (errno.ELOOP, 2),
        (errno.EIO, 1),
        (errno.ENOSPC, 1),
    ],
)
def test_a_bad_path_exits_2_and_a_failing_machine_1(monkeypatch, capsys, number, code):
    def fail(arguments):
        raise OSError(number, os.strerror(number), "runs/x")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(SystemExit) as end:
        cli.main(["info", "x"])
    assert end.value.code == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupt_that_comes_out_as_another_error_is_an_interrupt(monkeypatch, capsys):
    def spoilt(arguments):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half a module") from None

    monkeypatch.setattr(cli, "_run", spoilt)
    with pytest.raises(SystemExit) as end:
        cli.main(["info", "x"])
    assert end.value.code == 130
    assert capsys.readouterr().err == "ddpm: stopped; the same command goes on from what is saved\n"


def test_training_answers_an_interrupt_that_was_swallowed_before_it_began(monkeypatch, capsys):
    """It saves, however long that takes, and is not ended by the watchdog of the start."""

    def trained(arguments):
        with contextlib.suppress(KeyboardInterrupt):  # as an import may do
            signal.raise_signal(signal.SIGINT)
        with stop_on_signal() as stop:
            assert stop()
            time.sleep(0.6)
            raise Interrupted("stopped after saving step 1")

    ended = []
    monkeypatch.setattr(cli, "PATIENCE", 0.2)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(cli, "_run", trained)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "x"])
    assert end.value.code == 130 and ended == []
    assert capsys.readouterr().err == "ddpm: stopped after saving step 1\n"


def test_what_swallows_an_interrupt_outside_training_is_ended(monkeypatch, capsys):
    def swallowed(arguments):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.6)

    ended = []
    monkeypatch.setattr(cli, "PATIENCE", 0.2)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(cli, "_run", swallowed)
    with pytest.raises(SystemExit):
        cli.main(["info", "x"])
    assert ended == [130]
    assert "ddpm: stopped" in capsys.readouterr().err


@pytest.mark.parametrize("epochs", [1, 7, 99, 100, 101, 120, 199, 200, 201, 1000, 12_345])
def test_lines_on_epochs_are_at_most_a_hundred_evenly_spread_and_the_last(epochs):
    told = [epoch for epoch in range(1, epochs + 1) if is_told(epoch, epochs)]
    assert len(told) <= 100 and told[-1] == epochs
    assert epochs > 100 or len(told) == epochs
    gaps = [b - a for a, b in itertools.pairwise([0, *told])]
    assert len(set(gaps[:-1])) <= 1 and gaps[-1] <= gaps[0]


def test_integers_of_thousands_of_digits_are_refused_in_a_short_line(tmp_path):
    most, more = "9" * 4300, "9" * 4301
    (tmp_path / "most.json").write_text(f'{{"training": {{"epochs": {most}}}}}')
    (tmp_path / "more.json").write_text(f'{{"training": {{"epochs": {more}}}}}')
    for option, text in (
        (("--epochs", most), "epochs must be at most 1000000000, got one of 14285 bits"),
        (("--seed", most), "seed must lie in 0..9223372036854775807, got one of 14285 bits"),
        (("--epochs", more), "--epochs: no type matching INT could be instantiated from ['9999..."),
        (("--network.model-channels", more), "--network.model-channels: at most 4300 digits are"),
        (("--config", "most.json"), "epochs must be at most 1000000000, got one of 14285 bits"),
        (("--config", "more.json"), "no JSON: an integer of 4,301 digits, at most 4,300 are read"),
    ):
        done = ddpm("train", "digits", *option, cwd=tmp_path)
        assert done.returncode == 2 and text in done.stderr
        assert len(done.stderr.splitlines()) == 1 and len(done.stderr) < 200


def test_a_path_that_cannot_be_written_is_named_without_our_own_files(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    (tmp_path / "file").write_text("")
    for out in ("file/run", "x" * 300):
        done = ddpm("train", "spiral", "--config", "small.json", "--out", out, cwd=tmp_path)
        assert done.returncode == 2
        assert f"{out}: " in done.stderr
        assert ".tmp" not in done.stderr


def test_without_a_home_the_cache_lies_with_the_temporary_files(monkeypatch):
    from denoising_diffusion import files

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(files.Path, "home", homeless)
    assert files.cache_folder().name == "denoising-diffusion"


@pytest.mark.parametrize("arguments", ["recipes", "train spiral --dry-run", "--help"])
def test_of_several_processes_the_first_prints(arguments):
    several = {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}
    assert shell(f"ddpm {arguments}", RANK="1", **several).stdout == ""
    assert shell(f"ddpm {arguments}", RANK="0", **several).stdout != ""
