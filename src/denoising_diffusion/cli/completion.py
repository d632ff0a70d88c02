"""Scripts that complete the command line, in bash, zsh and fish: `ddpm completion SHELL`."""

from collections.abc import Iterable, Iterator

from denoising_diffusion.cli.options import FILE, NOTHING, RUN, Argument, Command, commands


def script(shell: str) -> str:
    """The script for this shell: bash, zsh or fish."""
    lines = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands())
    return "\n".join([f"# Completion of ddpm in {shell}, made by: ddpm completion {shell}", *lines])


def _names(arguments: Iterable[Argument], between: str = " ") -> str:
    return between.join(a.name for a in arguments)


_BASH = """\
_ddpm() {
    local IFS=$' \\t\\n' at=$COMP_CWORD word options="" places="" takes="" found
    local current=${COMP_WORDS[at]} before=${COMP_WORDS[at-1]}
    # The shell takes --option=value for three words.
    if [[ $current == = ]]; then current="" before=${COMP_WORDS[at-1]}
    elif [[ $before == = ]]; then before=${COMP_WORDS[at-2]}; fi
    COMPREPLY=()"""

_BASH_END = """\
    if [[ -z $takes && $current != -* ]]; then takes=$places; fi
    case ${takes:-options} in
    run | file)
        # Of macOS' own bash the last has to do without.
        compopt -o filenames 2> /dev/null
        local what=-d; [[ $takes == file ]] && what=-f
        while IFS= read -r found; do COMPREPLY+=("$found"); done \\
            < <(compgen $what -- "$current") ;;
    any) ;;
    options) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$takes" -- "$current")) ;;
    esac
}
complete -F _ddpm ddpm"""


def _bash(all_of_them: list[Command]) -> Iterator[str]:
    yield _BASH
    names = " ".join(c.name for c in all_of_them)
    yield f'    if ((at == 1)); then takes="{names} --help --version"; fi'
    yield "    case ${COMP_WORDS[1]} in"
    for command in all_of_them:
        yield f"    {command.name})"
        yield f'        options="{_names(command.options)} --help"'
        yield f'        places="{_taken(command.places)}"'
        if command.by_recipe:
            yield '        for word in "${COMP_WORDS[@]:2:at-2}"; do case $word in'
            for recipe, own in command.by_recipe.items():
                yield f'        {recipe}) options+=" {_names(own)}" places="" ;;'
            yield "        esac; done"
        every = [*command.options, *(a for own in command.by_recipe.values() for a in own)]
        yield "        case $before in"
        for takes in dict.fromkeys(map(_takes, every)):
            same = dict.fromkeys(a.name for a in every if _takes(a) == takes)
            if takes != NOTHING:
                yield f'        {" | ".join(same)}) takes="{takes}" ;;'
        yield "        esac ;;"
    yield "    esac"
    yield _BASH_END


def _takes(argument: Argument) -> str:
    return " ".join(argument.words) or argument.takes


def _taken(places: list[Argument]) -> str:
    return _takes(places[0]) if places else ""


_ZSH = """\
#compdef ddpm
_ddpm() {
    local -a commands options places
    local word"""

_ZSH_END = """\
    esac
    shift words; (( CURRENT-- ))
    _arguments $options $places
}
if [[ $funcstack[1] == _ddpm ]]; then _ddpm "$@"; else compdef _ddpm ddpm; fi"""


def _zsh(all_of_them: list[Command]) -> Iterator[str]:
    yield _ZSH
    yield "    commands=("
    yield from (f"        {_quoted(f'{c.name}:{c.about}')}" for c in all_of_them)
    yield "    )"
    yield "    if (( CURRENT == 2 )); then _describe command commands; return; fi"
    yield "    case $words[2] in"
    for command in all_of_them:
        yield f"    {command.name})"
        yield f"        options=({_specs(command.options)} '--help')"
        yield f"        places=({' '.join(map(_quoted, _zsh_places(command)))})"
        if command.by_recipe:
            yield "        for word in $words[3,CURRENT-1]; do case $word in"
            for recipe, own in command.by_recipe.items():
                yield f"        {recipe}) options+=({_specs(own)}) ;;"
            yield "        esac; done"
        yield "        ;;"
    yield _ZSH_END


def _specs(options: list[Argument]) -> str:
    takes_none = (a.takes == NOTHING for a in options)
    return " ".join(
        _quoted(a.name if none else f"{a.name}=:value:{_zsh_action(a)}")
        for a, none in zip(options, takes_none, strict=True)
    )


def _zsh_places(command: Command) -> list[str]:
    number = "1" if command.by_recipe else "*"
    return [f"{number}:{a.name}:{_zsh_action(a)}" for a in command.places[:1]]


def _zsh_action(argument: Argument) -> str:
    if argument.words:
        return f"({' '.join(argument.words)})"
    return {RUN: "_files -/", FILE: "_files"}.get(argument.takes, " ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_FISH = """\
function __ddpm_in
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test $words[2] = $argv[1]; or return 1
    test (count $argv) -eq 1; or contains -- $argv[2] $words
end
complete -c ddpm -f"""


def _fish(all_of_them: list[Command]) -> Iterator[str]:
    yield _FISH
    for command in all_of_them:
        first = "test (count (commandline -opc)) -eq 1"
        yield f"complete -c ddpm -n '{first}' -a {command.name} -d {_quoted_fish(command.about)}"
        for place in command.places[:1]:
            yield f"complete -c ddpm -n '__ddpm_in {command.name}'{_fish_values(place, '')}"
        for option in command.options:
            yield _fish_option(command.name, option)
        for recipe, own in command.by_recipe.items():
            yield from (_fish_option(f"{command.name} {recipe}", option) for option in own)


def _fish_option(where: str, option: Argument) -> str:
    line = f"complete -c ddpm -n '__ddpm_in {where}' -l {option.name.removeprefix('--')}"
    return line + (_fish_values(option, " -x") if option.takes != NOTHING else "")


def _fish_values(argument: Argument, exclusive: str) -> str:
    if argument.words:
        return f"{exclusive} -a '{' '.join(argument.words)}'"
    if argument.takes == RUN:
        return f"{exclusive} -a '(__fish_complete_directories)'"
    return f"{exclusive and ' -r'} -F" if argument.takes == FILE else exclusive


def _quoted_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
