"""Messages on standard error."""

import sys


def say(text: str) -> None:
    """Say it, once if there are several processes."""
    from denoising_diffusion import distributed

    if distributed.is_main():
        print(f"ddpm: {text}", file=sys.stderr)
