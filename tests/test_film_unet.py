import pytest
import torch
import torch.nn.functional as F
from torch import nn

from denoising_diffusion.nn.film_unet import FiLMBlock, FiLMUNet


def small(**options):
    return FiLMUNet(1, 8, 100, **{"middle_blocks": 1, "num_blocks_per_level": 1, **options})


def awake(network):
    """The network with random weights everywhere, so that nothing of it is 0."""
    torch.manual_seed(0)
    for p in network.parameters():
        nn.init.normal_(p, std=0.3)
    return network.double().eval()


def block_count(i, o, emb):
    skip = 0 if i == o else i * o + o
    return 2 * i + 9 * i * o + o + emb * 2 * o + 2 * o + 2 * o + 9 * o * o + o + skip


@pytest.mark.parametrize(
    ("patch", "classes", "blocks", "middle"), [(1, None, 1, 1), (2, 10, 2, 5), (2, None, 1, 6)]
)
def test_the_count_is_that_of_its_parts(patch, classes, blocks, middle):
    network = FiLMUNet(
        1, 32, 100, patch=patch, num_classes=classes, num_blocks_per_level=blocks,
        middle_blocks=middle,
    )  # fmt: skip
    seen, emb = patch**2, 64
    expected = 2 * (emb * emb + emb) + (0 if classes is None else (classes + 1) * emb)
    expected += 9 * seen * 32 + 32 + 9 * 32 * seen + seen + 2 * 32
    expected += 9 * 32 * 64 + 64 + 64 * 32 + 32
    expected += blocks * block_count(32, 32, emb) + middle * block_count(64, 64, emb)
    expected += block_count(64, 32, emb) + (blocks - 1) * block_count(32, 32, emb)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_a_new_network_answers_0_and_a_new_block_hands_its_input_on():
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 90.0])
    assert not small(patch=2)(x, t).any()
    h, emb = torch.randn(2, 8, 4, 4), torch.randn(2, 16)
    assert torch.equal(FiLMBlock(8, 8, 16)(h, emb), h)


def test_a_block_is_its_formula():
    block = awake(FiLMBlock(8, 16, 6, groups=4))
    x, emb = torch.randn(3, 8, 5, 5).double(), torch.randn(3, 6).double()
    h = block.conv_1(F.silu(F.group_norm(x, 4, block.norm_1.weight, block.norm_1.bias)))
    scale, shift = (F.silu(emb) @ block.film.weight.T + block.film.bias).split(16, dim=1)
    h = F.group_norm(h, 4, block.norm_2.weight, block.norm_2.bias)
    h = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    expected = block.skip(x) + block.conv_2(F.silu(h))
    torch.testing.assert_close(block(x, emb), expected, rtol=1e-12, atol=1e-12)


def test_the_network_is_its_layers_written_out():
    network = awake(small(patch=2, num_classes=3))
    x, t, labels = torch.randn(2, 1, 8, 8).double(), torch.tensor([5.0, 60.0]), torch.tensor([0, 3])
    emb = network.time_embedding(t) + network.class_embedding(labels)
    h = network.stem(F.pixel_unshuffle(x, 2))
    top = network.down[0][0](h, emb)
    h = network.middle[0](network.shrink[0](top), emb)
    h = network.lift[0](h).repeat_interleave(2, 2).repeat_interleave(2, 3)
    h = network.up[0][0](torch.cat([top, h], 1), emb)
    expected = F.pixel_shuffle(network.final(F.silu(network.norm(h))), 2)
    torch.testing.assert_close(network(x, t, labels), expected, rtol=1e-12, atol=1e-12)


def test_times_and_labels_matter_to_their_own_sample_alone():
    network = awake(small(num_classes=3))
    x, t, labels = torch.randn(3, 1, 8, 8).double(), torch.tensor([5.0, 5, 5]), torch.ones(3).long()
    before = network(x, t, labels)
    for changed in (
        network(x, torch.tensor([5.0, 6, 5]), labels),
        network(x, t, torch.tensor([1, 2, 1])),
    ):
        moved = (changed - before).abs().amax((1, 2, 3))
        assert moved[1] > 1e-3
        assert moved[[0, 2]].max() < 1e-12


def test_every_parameter_takes_part_and_sizes_are_padded():
    network = FiLMUNet.for_data(
        (3, 7, 10), 100, 4, patch=2, middle_blocks=1, num_blocks_per_level=1
    )
    nn.init.normal_(network.final.weight)
    for block in (*network.down[0], *network.middle, *network.up[0]):
        nn.init.normal_(block.conv_2.weight, std=0.1)
    answer = network(torch.randn(2, 3, 7, 10), torch.ones(2), torch.tensor([1, 4]))
    assert answer.shape == (2, 3, 7, 10)
    answer.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel_multipliers": (1,)}, "channel_multipliers must be two at least"),
        ({"block_groups": 3}, "block_groups must divide the 8 model_channels, got 3"),
        ({"patch": 0}, "patch must be at least 1, got 0"),
        ({"middle_blocks": 0}, "middle_blocks must be at least 1, got 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_what_is_no_image_and_what_it_cannot_halve():
    with pytest.raises(ValueError, match=r"takes images \(c, h, w\)"):
        FiLMUNet.for_data((2,), 100, None)
    with pytest.raises(ValueError, match="divisible by 4, got \\(6, 6\\)"):
        small(patch=2)(torch.randn(1, 1, 6, 6), torch.ones(1))
