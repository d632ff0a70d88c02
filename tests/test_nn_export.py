"""Exported with a batch of any size, and compiled whole, networks answer as they do in Python."""

import pytest
import torch

from denoising_diffusion.nn import MLP, FiLMUNet, UNet, UNetFixed

IMAGES, SIGNALS, POINTS = (1, 8, 8), (1, 8), (2,)
LEVELS = {"channel_multipliers": (1, 2)}


def arguments(shape, batch, labels):
    t = torch.linspace(1, 9, batch)
    x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
    return (x, t, torch.arange(batch) % 4) if labels else (x, t)


@pytest.mark.parametrize(
    ("make", "shape", "labels"),
    [
        (lambda: UNet(1, 8, 10, **LEVELS), IMAGES, False),
        (lambda: UNet(1, 8, 10, num_classes=3, **LEVELS), IMAGES, True),
        (lambda: UNet(1, 8, 10, num_classes=3, **LEVELS), IMAGES, False),
        (lambda: UNet(1, 8, 10, num_classes=3, dims=1, **LEVELS), SIGNALS, True),
        (lambda: UNetFixed(1, 8, 10), IMAGES, False),
        (lambda: FiLMUNet(1, 8, 10, num_classes=3, patch=2), IMAGES, True),
        (lambda: MLP(10, num_octaves=1), POINTS, False),
        (lambda: MLP(10, num_classes=3), POINTS, True),
        (lambda: MLP(10, num_classes=3), POINTS, False),
    ],
)
def test_export_with_a_dynamic_batch(make, shape, labels):
    torch.manual_seed(0)
    net, example = make().eval(), arguments(shape, 2, labels)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        net, example, dynamic_shapes=tuple({0: batch} for _ in example), strict=False
    ).module()
    for size in (2, 5):
        given = arguments(shape, size, labels)
        found, expected = exported(*given), net(*given)
        assert found.shape == (size, *shape)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: UNet(1, 8, 10, num_classes=3, channel_multipliers=(1,)), IMAGES),
        (lambda: MLP(10, num_classes=3), POINTS),
    ],
)
def test_a_compiled_graph_is_in_one_piece(make, shape):
    torch.manual_seed(0)
    net = make()
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=True)
    for size in (2, 5):
        given = arguments(shape, size, True)
        torch.testing.assert_close(compiled(*given), net(*given))
