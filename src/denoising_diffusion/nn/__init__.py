"""The networks and the layers they are made of; nothing here knows about diffusion."""

from denoising_diffusion.nn.attention import MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer, ConvEmbed, Downsample, ResBlock, Upsample
from denoising_diffusion.nn.chain import (
    Conditional,
    ConditionalChain,
    ConditionalSkipConnection,
    Parallel,
)
from denoising_diffusion.nn.classifier import SmallClassifier
from denoising_diffusion.nn.embedding import SinusoidalPositionEmbedding, TimeEmbedding
from denoising_diffusion.nn.init import seed_init
from denoising_diffusion.nn.lenet import LeNet5
from denoising_diffusion.nn.mlp import MLP
from denoising_diffusion.nn.unet import UNet, UNetConditioned
from denoising_diffusion.nn.unet_fixed import UNetFixed

__all__ = [
    "MLP",
    "BlockLayer",
    "Conditional",
    "ConditionalChain",
    "ConditionalSkipConnection",
    "ConvEmbed",
    "Downsample",
    "LeNet5",
    "MultiheadAttention",
    "Parallel",
    "ResBlock",
    "SinusoidalPositionEmbedding",
    "SmallClassifier",
    "TimeEmbedding",
    "UNet",
    "UNetConditioned",
    "UNetFixed",
    "Upsample",
    "seed_init",
]
