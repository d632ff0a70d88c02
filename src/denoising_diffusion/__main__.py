"""`python -m denoising_diffusion` is `ddpm`."""

from denoising_diffusion.cli import main

if __name__ == "__main__":
    main()
