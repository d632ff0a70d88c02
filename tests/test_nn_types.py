"""Arguments of wrong types are refused by name, never by torch or by Python."""

import pytest
import torch
from torch import nn

from denoising_diffusion.nn import (
    MLP,
    ConditionalChain,
    ConditionalSkipConnection,
    ConvEmbed,
    Downsample,
    LeNet5,
    MultiheadAttention,
    Parallel,
    ResBlock,
    SinusoidalPositionEmbedding,
    SmallClassifier,
    TimeEmbedding,
    UNet,
    UNetConditioned,
    UNetFixed,
    Upsample,
    seed_init,
)

NO_NUMBERS = ["5", [1], 1.5, True, 3j, torch.ones(2)]
NO_TENSORS = ["5", [1.0], 1.5, nn.ReLU(), torch.ones(2, dtype=torch.complex64)]
OPTIONAL = {"head_dim", "out_channels", "num_classes"}

BLOCK = {"in_channels": 8, "out_channels": 8, "emb_channels": 6, "groups": 2, "dims": 2}
RESAMPLING = {"in_channels": 3, "out_channels": 5, "dims": 2}
FIXED = {
    "in_channels": 1,
    "model_channels": 8,
    "num_timesteps": 10,
    "block_groups": 8,
    "num_attention_heads": 4,
}
NESTED = {**FIXED, "out_channels": 1, "dims": 2, "num_blocks_per_level": 1, "num_classes": 3}
POINTS = {
    "num_timesteps": 10,
    "in_dim": 2,
    "hidden": 8,
    "num_layers": 2,
    "num_octaves": 1,
    "num_classes": 3,
}
NUMBERS = [
    (ConvEmbed, BLOCK),
    (ResBlock, BLOCK),
    (Downsample, RESAMPLING),
    (Upsample, RESAMPLING),
    (MultiheadAttention, {"dim": 8, "head_dim": 4, "num_heads": 2, "dims": 2}),
    (SinusoidalPositionEmbedding, {"num_timesteps": 10, "dim": 8}),
    (SmallClassifier, {"in_channels": 1, "size": 8, "num_classes": 10, "num_features": 32}),
    (LeNet5, {"in_channels": 1, "num_classes": 10}),
    (UNetFixed, FIXED),
    (UNet, NESTED),
    (UNetConditioned, NESTED),
    (MLP, POINTS),
]
OTHERS = [
    (UNetFixed, FIXED, "block_layer", [None, "ResBlock", 5]),
    (UNet, NESTED, "block_layer", [None, "ResBlock", 5]),
    (UNet, NESTED, "channel_multipliers", [None, "12", 5, (1, 2.5), ("1", "2"), (True,)]),
    (UNet, NESTED, "middle_attention", [None, "no", 1]),
    (UNet, NESTED, "combine", [None, 5, ["cat"]]),
    (UNetConditioned, NESTED, "num_classes", [None]),
    (LeNet5, {"in_channels": 1}, "num_classes", [None]),
    (SmallClassifier, {"in_channels": 1, "size": 8}, "num_classes", [None]),
    (TimeEmbedding, {"num_timesteps": 10, "dim": 8}, "project", [None, "Linear", torch.sin]),
    (ConditionalSkipConnection, {"connection": torch.add}, "layers", [None, "5", torch.sin]),
    (ConditionalSkipConnection, {"layers": nn.ReLU()}, "connection", [None, "add", 5]),
    (seed_init, {}, "module", [None, "5", torch.ones(2), [nn.ReLU()]]),
]
SHAPED = {"num_timesteps": 10, "num_classes": None}
OTHERS += [
    (UNet.for_data, SHAPED, "data_shape", [None, "128", 5, (1, 8.0, 8), (1, "8", 8)]),
    (MLP.for_data, SHAPED, "data_shape", [None, "2", 2, (2.0,), (None,)]),
]


def refused(name, call, *args, **options):
    """The call fails in a sentence of ours that names the argument."""
    with pytest.raises((TypeError, ValueError), match=rf"\b{name}.* must ") as caught:
        call(*args, **options)
    assert "got" in str(caught.value)


@pytest.mark.parametrize(("make", "options"), NUMBERS)
def test_constructors_refuse_what_is_no_integer(make, options):
    make(**options)
    for name in options:
        for value in NO_NUMBERS + ([] if name in OPTIONAL else [None]):
            refused(name, make, **{**options, name: value})


@pytest.mark.parametrize(("make", "options", "name", "values"), OTHERS)
def test_constructors_refuse_other_types(make, options, name, values):
    for value in values:
        refused(name, make, **{**options, name: value})


def test_containers_refuse_what_is_no_module():
    for value in (None, "5", torch.sin):
        refused("layer '0'", ConditionalChain, value)
        refused("layer 'first'", ConditionalChain, first=value)
        refused("branch", Parallel, nn.ReLU(), value)
    for index in (None, 1.5, torch.ones(1)):
        refused("index", ConditionalChain(nn.ReLU()).__getitem__, index)


x, t, emb = torch.ones(2, 8, 4, 4), torch.ones(2), torch.ones(2, 6)
CALLS = [
    (ConvEmbed(**BLOCK), {"x": x, "emb": emb}),
    (ResBlock(**BLOCK), {"x": x, "emb": emb}),
    (Downsample(8, 8), {"x": x}),
    (Upsample(8, 8), {"x": x}),
    (MultiheadAttention(8), {"x": x}),
    (SinusoidalPositionEmbedding(10, 8), {"t": t}),
    (TimeEmbedding(10, 8, nn.Linear(8, 2)), {"t": t}),
    (UNet(8, 8, 10, num_classes=3), {"x": x, "t": t, "labels": t.long()}),
    (UNetFixed(8, 8, 10), {"x": x, "t": t}),
    (MLP(10, num_classes=3), {"x": t.repeat(2, 1), "t": t, "labels": t.long()}),
    (SmallClassifier(8, 4, 10), {"x": x}),
    (SmallClassifier(8, 4, 10).features, {"x": x}),
    (LeNet5(), {"x": torch.ones(2, 1, 28, 28)}),
    (LeNet5().features, {"x": torch.ones(2, 1, 28, 28)}),
]


@pytest.mark.parametrize(("net", "given"), CALLS)
def test_calls_refuse_what_is_no_tensor_of_numbers(net, given):
    net(*given.values())
    for name, right in given.items():
        wrong = [*NO_TENSORS, right.bool(), right.to(torch.complex64), right[None]]
        wrong += [] if name == "labels" else [None]
        wrong += [] if name == "t" else [right.float() if name == "labels" else right.long()]
        for value in wrong:
            refused(name, net, *{**given, name: value}.values())


def test_an_embedding_of_another_batch_does_not_broadcast():
    with pytest.raises(ValueError, match=r"emb must have shape \(2, 6\), got \(1, 6\)"):
        ConvEmbed(**BLOCK)(x, emb[:1])


def test_containers_refuse_what_is_no_tensor():
    nets = [
        ConditionalChain(),
        ConditionalSkipConnection(nn.ReLU(), torch.add),
        Parallel(nn.ReLU(), nn.ReLU()),
    ]
    for net in nets:
        for value in (None, "5", [1.0], 2.0):
            refused("x", net, value, t)
            refused("condition", net, t, value)
