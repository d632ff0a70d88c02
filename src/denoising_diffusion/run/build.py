"""From a configuration to the objects it describes."""

import torch
from torch import nn

from denoising_diffusion.config import DataFacts, MLPConfig, RunConfig, ScheduleConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.nn import MLP, UNet
from denoising_diffusion.schedule import Schedule, cosine_beta_schedule, linear_beta_schedule


def build_schedule(config: ScheduleConfig) -> Schedule:
    """The schedule that the configuration describes."""
    if config.kind == "cosine":
        return Schedule.from_betas(cosine_beta_schedule(config.timesteps, config.s))
    betas = linear_beta_schedule(config.timesteps, config.beta_start, config.beta_end)
    return Schedule.from_betas(betas)


def build_diffusion(config: RunConfig, facts: DataFacts) -> GaussianDiffusion:
    """The model, with initial weights that the training seed decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        network = _network(config, facts)
    return GaussianDiffusion(
        build_schedule(config.schedule), facts.shape, network, config.training.prediction
    )


def _network(config: RunConfig, facts: DataFacts) -> nn.Module:
    classes = len(facts.class_names) or None
    options = config.network
    if isinstance(options, MLPConfig):
        if len(facts.shape) != 1:
            raise ValueError(f"network mlp takes points, the data has shape {facts.shape}")
        return MLP(
            config.schedule.timesteps,
            in_dim=facts.shape[0],
            hidden=options.hidden,
            num_layers=options.num_layers,
            num_octaves=options.num_octaves,
            num_classes=classes,
        )
    if len(facts.shape) != 3:
        raise ValueError(f"network unet takes images, the data has shape {facts.shape}")
    return UNet(
        facts.shape[0],
        options.model_channels,
        config.schedule.timesteps,
        channel_multipliers=options.channel_multipliers,
        num_blocks_per_level=options.num_blocks_per_level,
        block_groups=options.block_groups,
        num_attention_heads=options.num_attention_heads,
        middle_attention=options.middle_attention,
        num_classes=classes,
    )


def count_parameters(module: nn.Module) -> int:
    """The number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto" is the first of cuda, mps, cpu that is there.

    Raises:
        ValueError: an unknown name, or a device that this machine lacks.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(n for n, there in present.items() if there)
    if name not in present:
        raise ValueError(f"device must be one of auto, {', '.join(present)}, got {name!r}")
    if not present[name]:
        raise ValueError(f"device {name} is not available here; take auto or cpu")
    return torch.device(name)
