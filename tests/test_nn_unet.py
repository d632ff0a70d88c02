import hashlib
import warnings

import pytest
import torch
from torch import nn

from denoising_diffusion.nn import (
    ConvEmbed,
    ResBlock,
    UNet,
    UNetConditioned,
    UNetFixed,
)


def count(module):
    return sum(p.numel() for p in module.parameters())


def small(**options):
    return UNet(1, 8, 100, **{"channel_multipliers": (1, 2), **options})


@pytest.mark.parametrize(
    ("in_channels", "width", "options", "expected"),
    [
        (1, 8, {}, 151_401),
        (1, 8, {"block_layer": ConvEmbed}, 98_473),
        (1, 8, {"middle_attention": False}, 94_825),
        (1, 8, {"middle_attention": False, "block_layer": ConvEmbed}, 51_209),
        (1, 16, {"middle_attention": False}, 376_913),
        (1, 16, {}, 602_705),
        (1, 16, {"num_classes": 10}, 622_865),
        (1, 16, {"num_classes": 10, "combine": "add"}, 603_409),
        (1, 16, {"num_classes": 10, "combine": "mul"}, 603_409),
        (1, 16, {"num_classes": 10, "middle_attention": False}, 392_977),
        (1, 16, {"channel_multipliers": (1, 2, 3)}, 403_409),
        (1, 16, {"channel_multipliers": (1, 2, 3), "num_classes": 10}, 420_497),
        (1, 16, {"channel_multipliers": (1, 2, 3), "middle_attention": False}, 275_537),
        (1, 16, {"num_blocks_per_level": 2}, 739_617),
        (1, 4, {"channel_multipliers": (1, 2), "block_groups": 1}, 10_525),
        (1, 4, {"channel_multipliers": (1, 2), "block_groups": 1, "num_classes": 5}, 11_197),
        (3, 16, {"channel_multipliers": (1, 2, 3)}, 403_987),
        (3, 16, {}, 603_283),
        (1, 32, {}, 2_405_025),
    ],
)
def test_counts(in_channels, width, options, expected):
    assert count(UNet(in_channels, width, 100, **options)) == expected
    assert count(UNet(in_channels, width, 7, **options)) == expected


def test_counts_of_the_other_constructors():
    assert count(UNetFixed(1, 8, 100)) == 151_401
    assert count(UNetFixed(1, 8, 100, block_layer=ConvEmbed)) == 98_473
    assert count(UNetConditioned(1, 16, 100, num_classes=10)) == 622_865


def test_ratios_of_counts():
    assert count(UNet(1, 32, 100)) / count(UNet(1, 16, 100)) == pytest.approx(3.99, abs=0.005)
    net = UNetFixed(1, 8, 100)
    attention = count(net.middle_attention)
    middle = count(net.middle_1) + attention + count(net.middle_2)
    assert middle / count(net) == pytest.approx(0.504, abs=0.0005)
    assert attention / count(net) == pytest.approx(0.244, abs=0.0005)


LAYERS = {
    "init": 160,
    "down_1": 5744,
    "downsample_1": 4112,
    "down_2": 5744,
    "downsample_2": 8224,
    "down_3": 20704,
    "down_4": 18496,
    "middle_1": 78272,
    "middle_attention": 147520,
    "middle_2": 78272,
    "up_3": 152064,
    "upsample_3": 18464,
    "up_2": 39168,
    "upsample_2": 4624,
    "up_1": 12672,
    "final": 145,
}


def test_the_sixteen_layers():
    layers = dict(UNetFixed(1, 16, 100).named_children())
    assert count(layers.pop("time_embedding")) == 2 * 4160
    assert {name: count(layer) for name, layer in layers.items()} == LAYERS
    assert len(layers) == 16


def test_the_nested_layers_have_the_same_sizes():
    found = {}
    for name, module in UNet(1, 16, 100).named_modules():
        if name.split(".")[-1] in LAYERS:
            found[name.split(".")[-1]] = count(module)
    assert found == LAYERS


@pytest.mark.parametrize("block_layer", [ResBlock, ConvEmbed])
def test_fixed_and_nested_nets_are_equal(block_layer):
    torch.manual_seed(0)
    fixed = UNetFixed(2, 8, 100, block_layer=block_layer)
    nested = UNet(2, 8, 100, block_layer=block_layer)
    with torch.no_grad():
        for target, source in zip(nested.parameters(), fixed.parameters(), strict=True):
            assert target.shape == source.shape
            # norms and biases start as constants, which would hide a mistake in their order
            source.copy_(torch.randn_like(source) * 0.2)
            target.copy_(source)
        x, t = torch.randn(3, 2, 12, 8), torch.tensor([1.0, 50.5, 100.0])
        assert torch.equal(fixed(x, t), nested(x, t))
        assert fixed(x, t).std() > 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block_layer": ConvEmbed},
        {"channel_multipliers": (1, 2, 4, 8)},
        {"channel_multipliers": (1, 3, 3, 4)},
        {"channel_multipliers": (2, 4)},
        {"channel_multipliers": (3,)},
        {"num_blocks_per_level": 2},
        {"middle_attention": False},
        {"num_classes": 3},
    ],
)
def test_output_has_the_shape_of_the_input_and_every_parameter_a_gradient(options):
    net = UNet(3, 8, 100, **options)
    x = torch.randn(2, 3, 32, 32)
    out = net(x, torch.tensor([1.0, 100.0]))
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3.3391233),
        ({"num_blocks_per_level": 2}, 3.2345988),
        ({"block_layer": ConvEmbed}, 0.44640589),
        ({"num_classes": 3}, 5.8098571),
        ({"num_classes": 3, "combine": "mul"}, 2.4181438),
    ],
)
def test_the_initial_weights_and_the_output_are_those_of_old_runs(options, expected):
    torch.manual_seed(0)
    net, x = UNet(1, 8, 100, **options), torch.linspace(-1, 1, 384).reshape(3, 1, 8, 16)
    labels = torch.tensor([0, 2, 1]) if "num_classes" in options else None
    out = net(x, torch.tensor([1.0, 50.5, 100.0]), labels)
    assert out.square().mean().item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("net", "digest"),
    [
        (UNet(1, 8, 100, num_classes=2), "f487a9f2d4369338"),
        (UNet(1, 8, 100, num_blocks_per_level=2, middle_attention=False), "e00e93c7062c95de"),
        (UNetFixed(1, 8, 100), "912444a4d822f164"),
    ],
)
def test_names_shapes_and_order_of_the_weights_are_those_of_old_runs(net, digest):
    text = "\n".join(f"{name} {tuple(w.shape)}" for name, w in net.state_dict().items())
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


@pytest.mark.parametrize("out_channels", [None, 1, 3])
def test_the_channels_of_the_answer(out_channels):
    torch.manual_seed(0)
    net = small(out_channels=out_channels)
    torch.manual_seed(0)
    same = small()
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([1.0, 9.0])
    assert net(x, t).shape == (2, out_channels or 1, 8, 8)
    assert count(net) - count(same) == (net.out_channels - 1) * (9 * 8 + 1)
    h = {}
    net.layers.final.register_forward_hook(lambda _, inputs, out: h.update(x=inputs[0], out=out))
    assert torch.equal(net(x, t), h["out"])
    final = net.layers.final
    torch.testing.assert_close(
        h["out"], nn.functional.conv2d(h["x"], final.weight, final.bias, padding=1)
    )


@pytest.mark.parametrize("shape", [(2, 4, 6), (2, 10)])
@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("attention", [True, False])
def test_the_network_for_data(shape, classes, attention):
    options = {
        "channel_multipliers": (1, 2),
        "num_blocks_per_level": 2,
        "block_groups": 4,
        "num_attention_heads": 2,
        "middle_attention": attention,
    }
    torch.manual_seed(0)
    found = UNet.for_data(shape, 50, classes, model_channels=8, **options)
    torch.manual_seed(0)
    net = UNet(2, 8, 50, dims=len(shape) - 1, num_classes=classes, **options)
    x, t = torch.randn(3, *shape), torch.tensor([1.0, 25.5, 50.0])
    assert found.num_classes == classes
    assert torch.equal(found(x, t), net(x, t))
    assert str(found) == str(net)


def test_the_network_for_data_has_the_defaults_of_the_recipes():
    assert count(UNet.for_data((1, 28, 28), 100, 10)) == 622_865
    assert count(UNet.for_data([1, 28, 28], 100, None)) == 602_705


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2,), r"network unet takes images \(c, h, w\) or .* the data has shape \(2,\)"),
        ((1, 2, 4, 4), r"signals \(c, length\), the data has shape \(1, 2, 4, 4\)"),
        ((1, 0, 8), r"data_shape must hold .*at least 1, got \(1, 0, 8\)"),
    ],
)
def test_the_network_for_data_of_another_kind(shape, message):
    with pytest.raises(ValueError, match=message):
        UNet.for_data(shape, 100, None)


@pytest.mark.parametrize("shape", [(2, 7, 7), (2, 9, 6), (2, 1, 8), (2, 8, 8), (2, 10), (2, 8)])
def test_data_that_cannot_be_halved_is_padded_with_zeros_and_cut_back(shape):
    torch.manual_seed(0)
    net = UNet.for_data(shape, 50, 3, model_channels=8, channel_multipliers=(1, 2, 2))
    torch.manual_seed(0)
    strict = UNet(2, 8, 50, dims=len(shape) - 1, num_classes=3, channel_multipliers=(1, 2, 2))
    x, t, labels = torch.randn(3, *shape), torch.tensor([1.0, 25.5, 50.0]), torch.tensor([0, 1, 3])
    full = torch.zeros(3, 2, *(-(-n // 4) * 4 for n in shape[1:]))
    inside = (..., *(slice(n) for n in shape[1:]))
    full[inside] = x
    assert torch.equal(net(x, t, labels), strict(full, t, labels)[inside])
    if x.shape != full.shape:
        with pytest.raises(ValueError, match="divisible by 4"):
            strict(x, t)


def test_other_dtypes():
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([1.0, 9.0])
    for dtype in (torch.float64, torch.bfloat16):
        assert small(num_classes=2).to(dtype)(x.to(dtype), t).dtype == dtype


def test_samples_do_not_depend_on_their_batch():
    net = small(num_classes=2).double()
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    t, labels = torch.tensor([1.0, 5.0, 9.0]), torch.tensor([0, 1, 2])
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, t, labels), alone)


@pytest.mark.parametrize("combine", ["cat", "add", "mul"])
def test_labels(combine):
    torch.manual_seed(0)
    net = small(num_classes=3, combine=combine)
    x, t = torch.randn(1, 1, 8, 8).repeat(4, 1, 1, 1), torch.full((4,), 7.0)
    out = net(x, t, torch.arange(4))
    assert all(not torch.allclose(out[i], out[j]) for i in range(4) for j in range(i))
    assert torch.equal(net(x, t), net(x, t, torch.zeros(4, dtype=torch.long)))
    assert torch.equal(out, net(x, t, torch.arange(4, dtype=torch.uint8)))
    assert net.class_embedding.weight.shape == (4, 32)


@pytest.mark.parametrize("combine", ["cat", "add", "mul"])
def test_how_embeddings_are_combined(combine):
    net = small(num_classes=3, combine=combine)
    seen = []
    net.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    t, labels = torch.tensor([3.0]), torch.tensor([2])
    net(torch.randn(1, 1, 8, 8), t, labels)
    a, b = net.time_embedding(t), net.class_embedding(labels)
    expected = {"cat": torch.cat([a, b], 1), "add": a + b, "mul": a * b}[combine]
    torch.testing.assert_close(seen[0], expected)


def test_one_block_in_a_middle_without_attention():
    names = [n.split(".")[-1] for n, _ in small(middle_attention=False).named_modules()]
    assert "middle_1" in names
    assert "middle_2" not in names


def test_networks_start_from_the_seeds_weights():
    for net in (UNetFixed(1, 8, 10), small(num_classes=2)):
        for layer in net.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
                assert not layer.bias.any()


def test_more_than_five_levels_warn():
    with pytest.warns(UserWarning, match="6 channel_multipliers") as found:
        UNet(1, 8, 10, channel_multipliers=(1,) * 6)
        UNet.for_data((1, 64, 64), 10, None, model_channels=8, channel_multipliers=(1,) * 6)
    assert [w.filename for w in found] == [__file__] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        UNet(1, 8, 10, channel_multipliers=(1,) * 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_groups": 3}, "block_groups must divide the 8 model_channels, got 3"),
        ({"block_groups": 0}, "block_groups must divide .* got 0"),
        ({"num_attention_heads": 3}, "num_attention_heads must divide the 16 .*got 3"),
        ({"num_attention_heads": 0}, "num_attention_heads must be at least 1, got 0"),
        ({"out_channels": 0}, "out_channels must be at least 1, got 0"),
        ({"dims": 3}, r"dims must lie in 1\.\.2, got 3"),
        ({"channel_multipliers": ()}, r"channel_multipliers must hold at least one.*got \(\)"),
        ({"channel_multipliers": (1, 0)}, r"channel_multipliers must .*got \(1, 0\)"),
        ({"num_blocks_per_level": 0}, "num_blocks_per_level must be at least 1, got 0"),
        ({"combine": "concat"}, "combine must be one of cat, add, mul, got 'concat'"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_constructor_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_fixed_net_refusals():
    with pytest.raises(ValueError, match="block_groups must divide the 6 model_channels, got 8"):
        UNetFixed(1, 6, 10)
    with pytest.raises(ValueError, match=r"num_attention_heads must divide the 32 .*got 5"):
        UNetFixed(1, 8, 10, num_attention_heads=5)
    with pytest.raises(ValueError, match=r"divisible by 4, got \(8, 6\)"):
        UNetFixed(1, 8, 10)(torch.randn(1, 1, 8, 6), torch.ones(1))


@pytest.mark.parametrize(
    ("shape", "times", "labels", "message"),
    [
        ((2, 1, 8, 7), (2,), None, r"divisible by 2, got \(8, 7\)"),
        ((2, 1, 7, 8), (2,), None, r"divisible by 2, got \(7, 8\)"),
        ((2, 3, 8, 8), (2,), None, r"x must have shape \(b, 1, h, w\), got \(2, 3, 8, 8\)"),
        ((1, 8, 8), (1,), None, r"x must have shape \(b, 1, h, w\), got \(1, 8, 8\)"),
        ((2, 1, 8, 8), (3,), None, r"t must have shape \(2,\), got \(3,\)"),
        ((2, 1, 8, 8), (2, 1), None, r"t must have shape \(2,\), got \(2, 1\)"),
        ((2, 1, 8, 8), (2,), [1], r"labels must have shape \(2,\), got \(1,\)"),
        ((2, 1, 8, 8), (2,), [0, 4], r"labels must lie in 0\.\.3, got values from 0 to 4"),
        ((2, 1, 8, 8), (2,), [-1, 2], r"labels must lie in 0\.\.3, got values from -1 to 2"),
        ((2, 1, 0, 8), (2,), None, r"positive and divisible by 2, got \(0, 8\)"),
        ((2, 1, 8, 8), (2,), [0.5, 2.0], "labels must hold integers, got torch.float32"),
        ((2, 1, 8, 8), (2,), [True, False], "labels must hold integers, got torch.bool"),
    ],
)
def test_call_refusals(shape, times, labels, message):
    given = None if labels is None else torch.tensor(labels)
    with pytest.raises(TypeError if "hold" in message else ValueError, match=message):
        small(num_classes=3)(torch.randn(shape), torch.ones(times), given)


def test_labels_for_a_net_without_classes():
    with pytest.raises(ValueError, match="labels need a network built with num_classes"):
        small()(torch.randn(1, 1, 8, 8), torch.ones(1), torch.ones(1, dtype=torch.long))


def test_an_empty_batch():
    net, none = small(num_classes=2), torch.zeros(0, dtype=torch.long)
    assert net(torch.randn(0, 1, 8, 8), torch.ones(0), none).shape == (0, 1, 8, 8)


def test_dropout_drops_between_the_convolutions_of_a_block_in_training_alone():
    block = ResBlock(8, 8, 16, dropout=0.5)
    seen = []
    block.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, emb = torch.randn(64, 8, 6, 6), torch.randn(64, 16)
    block(x, emb)
    block.eval()(x, emb)
    dropped, kept = seen
    gone = dropped == 0
    assert gone.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.allclose(dropped[~gone], 2 * kept[~gone])
    network = small(dropout=0.25)
    rates = {m.p for m in network.modules() if isinstance(m, nn.Dropout)}
    assert rates == {0.25}
    assert count(network) == count(small())


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((1, 8, 8), (8, 16)),
        ((1, 20, 64), (8, 16)),
        ((1, 28, 28), (8, 16, 32)),
        ((3, 48, 48), (8, 16, 32, 32)),
        ((3, 500, 500), (8, 16, 32, 32)),
        ((2, 64), (8, 16, 32, 32)),
    ],
)
def test_levels_follow_from_the_size(shape, widths):
    network = UNet.for_data(shape, 10, None, model_channels=8, channel_multipliers=())
    assert network.widths == widths
