"""The scripts that complete the command line, in the shells themselves."""

import re
import shlex
import shutil
import subprocess

import pytest

from denoising_diffusion.cli import main
from denoising_diffusion.cli.completion import script
from denoising_diffusion.cli.options import commands
from denoising_diffusion.recipes import RECIPES
from denoising_diffusion.tables import TABLES

HELP = {"--help"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scripts, a run behind a name with a blank, and a file."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(script(shell) + "\n")
    (folder / "runs" / "my digits").mkdir(parents=True)
    (folder / "runs" / "points").mkdir()
    (folder / "runs" / "table.csv").touch()
    return folder


def bash(folder, *words):
    """What bash offers for the last of these words, which it has split as it does."""
    line = (
        f"source ./bash; COMP_WORDS=(ddpm {shlex.join(words)}); COMP_CWORD={len(words)}; _ddpm; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split("\n")) - {""}


def fish(folder, *words):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    line = f"source ./fish; complete -C {shlex.quote(' '.join(['ddpm', *words]))}"
    done = subprocess.run(["fish", "-c", line], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return {row.partition("\t")[0].replace("\\ ", " ") for row in done.stdout.split("\n")} - {""}


ZSH = """\
autoload -U compinit; compinit -u -d ./dump; zstyle ':completion:*' list-grouped false
source ./zsh; unsetopt list_packed; compadd() {
    # What is asked to be added is told in place of shown.
    local -a found; builtin compadd -O found "$@"; print -rl -- $found >> ./told
    builtin compadd "$@"
}
"""


def zsh(folder, *lines):
    """What zsh adds to each of these lines when Tab is pressed, in a terminal of its own."""
    (folder / "rc").write_text(ZSH)
    ask = [
        "zmodload zsh/zpty; zpty shell zsh -f -i",
        "zpty -w shell 'source ./rc; print rea\"\"dy'",
    ]
    ask += ["zpty -r shell said '*ready*'"]
    for i, line in enumerate(lines):
        ask += [f"zpty -w -n shell {shlex.quote(line)}$'\\t'; sleep 0.3; zpty -w -n shell $'\\C-u'"]
        ask += [f"zpty -w shell 'mv told told{i}; print do\"\"ne'; zpty -r shell said '*done*'"]
    subprocess.run(["zsh", "-f", "-c", "\n".join(ask)], cwd=folder, timeout=20, check=True)
    return [set((folder / f"told{i}").read_text().split("\n")) - {""} for i in range(len(lines))]


SHELLS = pytest.mark.parametrize("shell", [bash, fish])


@SHELLS
def test_commands_recipes_choices_and_paths(shell, folder):
    assert shell(folder, "re") == {"resume", "recipes", "report"}
    assert shell(folder, "train", "numbers-c") == {"numbers-classic", "numbers-classic-plain"}
    assert shell(folder, "sample", "runs/points", "--sampler", "dd") == {"ddpm", "ddim"}
    assert shell(folder, "export", "runs/points", "--to", "") >= set(TABLES["export"])
    assert shell(folder, "sample", "runs/points", "--gif-") == {"--gif-of"}
    here = {found.strip("/").split("/")[-1] for found in shell(folder, "info", "runs/")}
    assert here == {"my digits", "points"}
    here = {
        f.strip("/").split("/")[-1] for f in shell(folder, "train", "points", "--data", "runs/")
    }
    assert here == {"my digits", "points", "table.csv"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_offers_the_same(folder):
    lines = ["re", "sample runs/points --sampler dd", "train points --network.h", "info runs/"]
    found = zsh(folder, *(f"ddpm {line}" for line in lines))
    assert found[:3] == [{"resume", "recipes", "report"}, {"ddpm", "ddim"}, {"--network.hidden"}]
    assert found[3] - {"runs"} == {"my\\ digits", "points"}


def test_bash_knows_options_by_recipe_and_values_behind_an_equals_sign(folder):
    assert bash(folder, "train", "points", "--network.h") == {"--network.hidden"}
    assert bash(folder, "train", "digits", "--network.h") == set()
    assert bash(folder, "train", "") == set(RECIPES)
    assert bash(folder, "train", "digits", "--schedule.kind", "=") == set(TABLES["schedule"])
    assert bash(folder, "train", "digits", "--schedule.kind", "=", "co") == {"cosine"}
    assert bash(folder, "sample", "runs/points", "--num", "") == set()
    assert "table" in bash(folder, "")
    assert bash(folder, "nonsense", "") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_the_script(shell, capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", shell])
    assert end.value.code == 0
    assert capsys.readouterr().out == script(shell) + "\n"


def helped(*arguments, capsys):
    with pytest.raises(SystemExit):
        main([*arguments, "--help"])
    rows = re.findall(r"^ +(--?\w.*?)(?:   |$)", capsys.readouterr().out, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"(?:^|, )(--\w[\w.-]+)", row)}


@pytest.mark.parametrize("command", commands(), ids=lambda c: c.name)
def test_what_is_offered_is_what_the_help_lists(command, capsys):
    offered = {a.name for a in command.options} | HELP
    if command.name != "train":
        assert helped(command.name, capsys=capsys) == offered
    for recipe, own in command.by_recipe.items():
        expected = helped(command.name, recipe, capsys=capsys)
        assert offered | {a.name for a in own} == expected, recipe
