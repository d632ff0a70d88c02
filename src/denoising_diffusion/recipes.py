"""Recipes: configurations with a name."""

from dataclasses import replace

from denoising_diffusion.config import (
    DataConfig,
    MLPConfig,
    RunConfig,
    SamplingConfig,
    ScheduleConfig,
    TrainingConfig,
    UNetConfig,
)

# DenoisingDiffusion.jl's 2-D schedule: it keeps 95 % of the signal at T, and its runs start from
# noise all the same. The classic recipes keep that; the others use a schedule that reaches noise.
_CLASSIC_SCHEDULE = ScheduleConfig("linear", timesteps=40, beta_start=8e-6, beta_end=9e-5)
_POINTS_SCHEDULE = ScheduleConfig("cosine", timesteps=100)
_POINTS_NETWORK = MLPConfig(hidden=96, num_layers=4, num_octaves=2)
_POINTS_TRAINING = TrainingConfig(
    epochs=15,
    batch_size=1024,
    learning_rate=3e-3,
    decay=True,
    warmup_steps=100,
    prediction="v",
    ema_decay=0.999,
    precision="float32",
)
_POINTS_SAMPLING = SamplingConfig(num=10_000)

# The seed's training; the averaged weights cost it nothing, and --raw-weights leaves them out.
_CLASSIC_IMAGES = TrainingConfig(epochs=15, ema_decay=0.999)
_NUMBERS_UNET = UNetConfig(model_channels=16, channel_multipliers=(1, 2, 4))
_NUMBERS_CLASSIC = RunConfig(
    recipe="numbers-classic",
    data=DataConfig("mnist", labels=False),
    network=_NUMBERS_UNET,
    training=_CLASSIC_IMAGES,
    sampling=SamplingConfig(num=10_000),
)


_ALL = (
    RunConfig(
        recipe="digits",
        data=DataConfig("digits"),
        network=UNetConfig(model_channels=16, channel_multipliers=(1, 2, 4)),
        training=TrainingConfig(
            epochs=120,
            batch_size=64,
            learning_rate=2e-3,
            decay=True,
            warmup_steps=100,
            prediction="v",
            label_dropout=0.1,
            ema_decay=0.995,
            max_grad_norm=1.0,
        ),
        sampling=SamplingConfig("ddim", steps=25, num=898),
    ),
    RunConfig(
        recipe="numbers",
        data=DataConfig("mnist"),
        network=_NUMBERS_UNET,
        training=TrainingConfig(
            epochs=15,
            batch_size=64,
            learning_rate=2e-3,
            decay=True,
            warmup_steps=300,
            prediction="v",
            label_dropout=0.1,
            ema_decay=0.999,
            max_grad_norm=1.0,
        ),
        sampling=SamplingConfig("ddim", steps=50, num=10_000),
    ),
    _NUMBERS_CLASSIC,
    replace(
        _NUMBERS_CLASSIC,
        recipe="numbers-classic-plain",
        network=replace(_NUMBERS_UNET, middle_attention=False),
    ),
    replace(
        _NUMBERS_CLASSIC,
        recipe="numbers-guided-classic",
        data=DataConfig("mnist"),
        training=replace(_CLASSIC_IMAGES, label_dropout=0.2),
        sampling=SamplingConfig(guidance_scale=2, num=10_000),
    ),
    RunConfig(
        recipe="spiral",
        data=DataConfig("spiral", size=300_000),
        network=_POINTS_NETWORK,
        schedule=_POINTS_SCHEDULE,
        training=_POINTS_TRAINING,
        sampling=_POINTS_SAMPLING,
    ),
    RunConfig(
        recipe="spiral-classic",
        data=DataConfig("spiral", size=10_000),
        network=MLPConfig(hidden=16),
        schedule=_CLASSIC_SCHEDULE,
        training=TrainingConfig(epochs=100, precision="float32"),
        sampling=_POINTS_SAMPLING,
    ),
    RunConfig(
        recipe="patterns",
        data=DataConfig("patterns", size=300_000),
        network=replace(_POINTS_NETWORK, hidden=128),
        schedule=_POINTS_SCHEDULE,
        training=replace(_POINTS_TRAINING, epochs=30, label_dropout=0.1),
        sampling=SamplingConfig(num=30_000),
    ),
    RunConfig(
        recipe="patterns-classic",
        data=DataConfig("patterns", size=9_000),
        network=MLPConfig(hidden=32),
        schedule=_CLASSIC_SCHEDULE,
        training=TrainingConfig(epochs=100, label_dropout=0.2, precision="float32"),
        sampling=SamplingConfig(num=30_000),
    ),
    RunConfig(
        recipe="points",
        data=DataConfig("points", path="FILE"),
        network=_POINTS_NETWORK,
        schedule=_POINTS_SCHEDULE,
        training=replace(_POINTS_TRAINING, batch_size=256, epochs=100),
        sampling=SamplingConfig(num=2_000),
    ),
)

RECIPES: dict[str, RunConfig] = {c.recipe: c for c in _ALL}


def recipe(name: str) -> RunConfig:
    """The configuration of this name; that of "points" has a path to be replaced.

    Raises:
        ValueError: an unknown name.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known are {', '.join(RECIPES)}")
    return RECIPES[name]
