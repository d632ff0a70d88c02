"""Whether a run was long enough, told by its held-out loss."""

from collections.abc import Mapping, Sequence
from statistics import median

_SHARE = 0.1
_LEAST = 0.005


def still_falling(history: Sequence[Mapping[str, float | None]]) -> bool:
    """Whether the second half of a run brought more than a tenth of what the whole brought.

    A learning rate that falls to 0 flattens the end of every loss, of too short a run as well; its
    middle does not lie. The best of the first half is taken, so that a loss that wanders is not
    falling, and a fall of less than half a per cent of the loss is none.

    Args:
        history: rows in order; those with a "val_loss" count. Fewer than four tell nothing.
    """
    losses = [v for row in history if (v := row.get("val_loss")) is not None]
    if len(losses) < 4:
        return False
    middle = min(losses[: len(losses) // 2])
    last = median(losses[-3:]) if len(losses) >= 12 else losses[-1]
    return middle - last > max(_SHARE * (losses[0] - last), _LEAST * abs(last))
