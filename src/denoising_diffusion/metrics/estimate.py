"""A figure that was estimated, with its uncertainty."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error."""

    value: float
    standard_error: float

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval: the truth is value ± interval."""
        return 1.96 * self.standard_error
