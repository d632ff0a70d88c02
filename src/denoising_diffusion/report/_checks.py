"""What pictures are given: sequences, texts, and panels of a title and tensors."""

from collections.abc import Sequence
from typing import Any

from denoising_diffusion.checks import finite, instance
from denoising_diffusion.checks import sequence as sequence


def texts(name: str, value: Any, count: int, of: str) -> Sequence[str]:
    """The value, if it holds this many strings; nothing for None."""
    if value is None:
        return ()
    found = sequence(name, value, str)
    if len(found) != count:
        raise ValueError(f"got {len(found)} {name} for {count} {of}")
    return found


def titled(panels: Any, tensors: int = 1) -> Sequence[Sequence[Any]]:
    """The panels, if there are any, each of a title and this many finite tensors."""
    for i, panel in enumerate(sequence("panels", panels)):
        name = f"panels[{i}]"
        if len(sequence(name, panel)) != 1 + tensors:
            raise ValueError(f"{name} must hold a title and {tensors} tensors, got {len(panel)}")
        instance(f"{name}[0]", panel[0], str)
        for j in range(tensors):
            finite(f"{name}[{j + 1}]", panel[j + 1])
    if not panels:
        raise ValueError("panels holds no panels to draw")
    return panels
