import math

import pytest

from denoising_diffusion.run.convergence import still_falling


def history(losses):
    return [{"step": i, "val_loss": v} for i, v in enumerate(losses)]


def cut_short(share: float, epochs: int = 40) -> list[float]:
    """An exponential fall to 0.9, read at equal steps up to this many of its time constants."""
    return [0.9 + 0.2 * math.exp(-share * (i + 1) / epochs) for i in range(epochs)]


@pytest.mark.parametrize(
    ("constants", "falls"), [(0.5, True), (2, True), (4, True), (5, False), (20, False)]
)
def test_an_exponential_fall_is_told_by_how_much_of_it_was_seen(constants, falls):
    # Of a fall over c constants the second half brings 1 / (1 + exp(c / 2)): a tenth at c = 4.4.
    assert still_falling(history(cut_short(constants))) is falls


def test_a_rate_that_falls_to_nothing_hides_nothing():
    # The end is flat because the steps are short there: the progress is that of their sum.
    def seen(constants: float, i: int) -> float:
        return constants * (i / 40 + math.sin(math.pi * i / 40) / math.pi)

    short, long = ([0.9 + 0.2 * math.exp(-seen(c, i)) for i in range(1, 41)] for c in (1.2, 12.0))
    assert short[-4] - short[-1] < 1e-4  # flat
    assert still_falling(history(short)) and not still_falling(history(long))


@pytest.mark.parametrize("sign", [1, -1])
def test_jitter_and_a_rise_are_no_fall(sign):
    noisy = [0.9 + 0.002 * sign * (-1) ** i for i in range(40)]
    assert not still_falling(history(noisy))
    assert not still_falling(history([0.9 + 0.001 * i for i in range(40)]))
    falling = [v + 0.002 * sign * (-1) ** i for i, v in enumerate(cut_short(1))]
    assert still_falling(history(falling))


def test_a_loss_that_was_lower_before_is_not_falling():
    wandering = [0.747, 0.741, 0.665, 0.672, 0.67, 0.672, 0.676, 0.684, 0.683, 0.678]
    wandering += [0.68, 0.683, 0.678, 0.673, 0.673, 0.675, 0.673, 0.672, 0.671, 0.671]
    assert not still_falling(history(wandering))


def test_too_few_epochs_tell_nothing():
    assert not still_falling([])
    assert not still_falling(history([1.0, 0.5, 0.1]))
    assert still_falling(history([1.0, 0.8, 0.6, 0.4]))
    assert not still_falling([{"step": i, "loss": 1 / (i + 1), "val_loss": None} for i in range(9)])
