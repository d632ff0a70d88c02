"""The times that a sampler visits."""

from denoising_diffusion.checks import Timesteps, checked, integer


@checked
def time_grid(num_timesteps: Timesteps, num_steps: int) -> list[int]:
    """`num_steps` + 1 whole times from T down to 0, as evenly spread as they can be.

    Raises:
        ValueError: T outside 1..10⁶, or num_steps outside 1..T.
    """
    if not 1 <= integer("steps", num_steps) <= num_timesteps:
        raise ValueError(
            f"steps must lie in 1..{num_timesteps}, the model's timesteps, got {num_steps}"
        )
    return [round(num_timesteps * i / num_steps) for i in range(num_steps, -1, -1)]
