"""Whether a run was long enough, told by its held-out loss."""

from collections.abc import Mapping, Sequence
from statistics import median

_SHARE = 0.1
_LEAST = 0.005


def still_falling(history: Sequence[Mapping[str, float | None]]) -> bool:
    """Whether the second half of a run brought more than a tenth of what the whole brought.

    A learning rate that falls to 0 flattens the end of every loss, of too short a run as well; its
    middle does not lie. Of 24 epochs or more, medians of three stand for the middle and the end,
    and a fall of less than half a per cent of the loss is none.

    Args:
        history: rows in order; those with a "val_loss" count. Fewer than four tell nothing.
    """
    losses = [v for row in history if (v := row.get("val_loss")) is not None]
    if len(losses) < 4:
        return False
    half, around = len(losses) // 2, 1 if len(losses) >= 24 else 0
    middle = median(losses[half - 1 - around : half + around])
    last = median(losses[-1 - 2 * around :])
    return middle - last > max(_SHARE * (losses[0] - last), _LEAST * abs(last))
