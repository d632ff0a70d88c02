"""The networks and the layers they are made of; nothing here knows about diffusion."""

from denoising_diffusion.nn.attention import MultiheadAttention as MultiheadAttention
from denoising_diffusion.nn.blocks import BlockLayer as BlockLayer
from denoising_diffusion.nn.blocks import ConvEmbed as ConvEmbed
from denoising_diffusion.nn.blocks import Downsample as Downsample
from denoising_diffusion.nn.blocks import ResBlock as ResBlock
from denoising_diffusion.nn.blocks import Upsample as Upsample
from denoising_diffusion.nn.chain import Conditional as Conditional
from denoising_diffusion.nn.chain import ConditionalChain as ConditionalChain
from denoising_diffusion.nn.chain import ConditionalSkipConnection as ConditionalSkipConnection
from denoising_diffusion.nn.chain import Parallel as Parallel
from denoising_diffusion.nn.classifiers import LeNet5 as LeNet5
from denoising_diffusion.nn.classifiers import SmallClassifier as SmallClassifier
from denoising_diffusion.nn.embedding import (
    SinusoidalPositionEmbedding as SinusoidalPositionEmbedding,
)
from denoising_diffusion.nn.embedding import TimeEmbedding as TimeEmbedding
from denoising_diffusion.nn.film_unet import FiLMBlock as FiLMBlock
from denoising_diffusion.nn.film_unet import FiLMUNet as FiLMUNet
from denoising_diffusion.nn.init import seed_init as seed_init
from denoising_diffusion.nn.mlp import MLP as MLP
from denoising_diffusion.nn.super_resolution import SuperResolution as SuperResolution
from denoising_diffusion.nn.unet import UNet as UNet
from denoising_diffusion.nn.unet import UNetConditioned as UNetConditioned
from denoising_diffusion.nn.unet_fixed import UNetFixed as UNetFixed
