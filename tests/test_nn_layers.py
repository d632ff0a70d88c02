import math

import pytest
import torch
from torch import nn

from denoising_diffusion.nn import (
    ConvEmbed,
    Downsample,
    MultiheadAttention,
    ResBlock,
    SinusoidalPositionEmbedding,
    TimeEmbedding,
    Upsample,
    seed_init,
)


def count(module):
    return sum(p.numel() for p in module.parameters())


def embedding_formula(t, dim):
    row = []
    for r in range(0, dim, 2):
        angle = t * 10000 ** (-r / (dim - 2))
        row += [math.sin(angle), math.cos(angle)]
    return row


@pytest.mark.parametrize("dim", [4, 16, 64])
def test_embedding_values(dim):
    times = [0.0, 1.0, 2.0, 40.0, 0.25, 37.125, 100.0]
    expected = torch.tensor([embedding_formula(t, dim) for t in times])
    embedding = SinusoidalPositionEmbedding(100, dim)
    assert count(embedding) == 0
    found = embedding(torch.tensor(times))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=0)
    torch.testing.assert_close(
        embedding(torch.tensor(times, dtype=torch.float64)), expected, atol=1e-7, rtol=1e-6
    )


def test_embedding_of_integer_and_half_times_is_float32():
    embedding = SinusoidalPositionEmbedding(100, 8)
    expected = embedding(torch.tensor([3.0, 99.0]))
    for dtype in (torch.int64, torch.bfloat16):
        assert torch.equal(embedding(torch.tensor([3, 99], dtype=dtype)), expected)
    assert torch.equal(embedding.bfloat16()(torch.tensor([3.0, 99.0])), expected)
    assert "dim=8" in repr(embedding)


@pytest.mark.parametrize("dim", [2, 5, 0])
def test_embedding_refuses_odd_and_small_widths(dim):
    with pytest.raises(ValueError, match=f"dim must be even and at least 4, got {dim}"):
        SinusoidalPositionEmbedding(100, dim)


def test_embedding_refuses_bad_times():
    with pytest.raises(ValueError, match="num_timesteps must be at least 1, got 0"):
        SinusoidalPositionEmbedding(0, 8)
    with pytest.raises(ValueError, match=r"t must have shape \(b,\), got \(2, 1\)"):
        SinusoidalPositionEmbedding(10, 8)(torch.ones(2, 1))


def test_time_embedding_needs_weights_to_follow():
    with pytest.raises(ValueError, match=r"project must be .* with parameters, got ReLU ReLU\(\)"):
        TimeEmbedding(10, 8, nn.ReLU())


def test_time_embedding_follows_the_dtype_of_its_weights():
    embedding = TimeEmbedding(10, 8, nn.Linear(8, 3)).double()
    assert embedding(torch.tensor([1.0, 2.0])).dtype == torch.float64


def test_block_counts():
    e = 64
    for i, o in [(16, 16), (32, 16), (96, 64)]:
        conv_embed = (e + 1) * o + 9 * i * o + o + 2 * o
        skip = 0 if i == o else 9 * i * o + o
        assert count(ConvEmbed(i, o, e)) == conv_embed
        assert count(ResBlock(i, o, e)) == conv_embed + 9 * o * o + o + 2 * o + skip
    assert count(MultiheadAttention(64)) == 36 * 64**2 + 64 == 147520


def test_conv_embed_is_norm_then_add_then_activation():
    block = ConvEmbed(2, 4, 6, groups=2)
    x, emb = torch.randn(3, 2, 5, 5), torch.randn(3, 6)
    shift = block.embed(nn.functional.silu(emb)).reshape(3, 4, 1, 1)
    expected = nn.functional.silu(block.norm(block.conv(x)) + shift)
    torch.testing.assert_close(block(x, emb), expected)


@pytest.mark.parametrize("in_channels", [4, 3])
def test_res_block_adds_its_input_last(in_channels):
    block = ResBlock(in_channels, 4, 6, groups=2)
    x, emb = torch.randn(3, in_channels, 5, 5), torch.randn(3, 6)
    assert isinstance(block.skip, nn.Identity if in_channels == 4 else nn.Conv2d)
    h = nn.functional.silu(block.norm(block.conv(block.conv_embed(x, emb))))
    torch.testing.assert_close(block(x, emb), h + block.skip(x))


@pytest.mark.parametrize("block", [ConvEmbed, ResBlock])
@pytest.mark.parametrize("groups", [0, 8])
def test_blocks_refuse_groups_that_do_not_divide(block, groups):
    with pytest.raises(ValueError, match=f"groups must divide the 12 .* got {groups}"):
        block(4, 12, 16, groups)


def test_resampling_shapes_and_counts():
    x = torch.randn(2, 3, 8, 12)
    assert Downsample(3, 5)(x).shape == (2, 5, 4, 6)
    assert Upsample(3, 5)(x).shape == (2, 5, 16, 24)
    assert (count(Downsample(16, 32)), count(Upsample(64, 32))) == (8224, 18464)


@pytest.mark.parametrize("sizes", [(3, 5), (15,)])
@pytest.mark.parametrize(("head_dim", "heads"), [(None, 4), (None, 1), (3, 2)])
def test_attention_is_the_softmax_written_out(head_dim, heads, sizes):
    attention = MultiheadAttention(8, head_dim, heads, dims=len(sizes)).double()
    x = torch.randn(2, 8, *sizes, dtype=torch.float64)
    size = head_dim or 8 // heads
    q, k, v = attention.qkv(x).reshape(2, 3, heads, size, 15).unbind(1)
    scores = torch.einsum("bhcq,bhck->bhqk", q, k) / math.sqrt(size)
    attended = torch.einsum("bhqk,bhck->bhcq", scores.softmax(dim=-1), v)
    expected = attention.out(attended.reshape(2, heads * size, *sizes))
    torch.testing.assert_close(attention(x), expected, atol=1e-12, rtol=1e-12)


def test_attention_biases():
    attention = MultiheadAttention(8)
    assert attention.qkv.bias is None
    assert attention.out.bias is not None


def test_attention_refuses_sizes():
    with pytest.raises(ValueError, match="num_heads must divide the 6 channels, got 4"):
        MultiheadAttention(6)
    with pytest.raises(ValueError, match="num_heads must be at least 1, got 0"):
        MultiheadAttention(6, 3, 0)
    with pytest.raises(ValueError, match="head_dim must be at least 1, got 0"):
        MultiheadAttention(6, 0)


def test_seed_init():
    torch.manual_seed(0)
    linear, conv, rows = nn.Linear(50, 30), nn.Conv2d(16, 32, 3), nn.Embedding(100, 64)
    signal, norm = nn.Conv1d(24, 40, 3), nn.GroupNorm(2, 4)
    seed_init(nn.ModuleList([linear, conv, signal, rows, norm, nn.Conv2d(2, 2, 1, bias=False)]))
    for layer, fans in ((linear, 80), (conv, 9 * 48), (signal, 3 * 64)):
        bound = math.sqrt(6 / fans)
        assert not layer.bias.any()
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert rows.weight.std().item() == pytest.approx(1, rel=0.05)
    assert abs(rows.weight.mean()) < 0.05
    assert norm.weight.eq(1).all()
