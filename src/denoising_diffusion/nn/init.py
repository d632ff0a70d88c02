"""The seed's initial weights."""

from torch import nn

from denoising_diffusion.checks import checked


@checked
def seed_init(module: nn.Module) -> None:
    """Draws the module's weights as Flux, the seed's library, does; in place.

    Linear, Conv1d and Conv2d: uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010,
    eq. 16) and zero biases; Embedding: N(0, 1). Other layers are left as they are. PyTorch's own
    defaults are narrower, and have random biases. Draws from torch's global generator.

    Raises:
        TypeError: it is no module.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight)
