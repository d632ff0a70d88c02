import pytest
import torch

from denoising_diffusion.nn import MLP, SmallClassifier


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 1_442), ({"hidden": 32}, 5_442), ({"hidden": 32, "num_classes": 3}, 5_826)],
)
def test_counts(options, expected):
    assert count(MLP(40, **options)) == expected
    assert count(MLP(7, **options)) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_output_is_the_formula(dtype):
    net = MLP(40, in_dim=3, hidden=8, num_layers=2, num_classes=2).to(dtype)
    x, t, labels = torch.randn(5, 3, dtype=dtype), torch.rand(5) * 40, torch.arange(5) % 3
    h = x
    for layer in (net.layers[0], net.layers[2]):
        point, time, label = layer.branches
        h = point(h) + time.project(time.position(t).to(dtype)) + label(labels)
        h = h * torch.sigmoid(h)
    torch.testing.assert_close(net(x, t, labels), net.layers[-1](h))


def test_no_labels_is_label_zero():
    net = MLP(40, num_classes=3)
    x, t = torch.randn(4, 2), torch.full((4,), 3.0)
    assert torch.equal(net(x, t), net(x, t, torch.zeros(4, dtype=torch.long)))
    assert not torch.allclose(net(x, t), net(x, t, torch.ones(4, dtype=torch.long)))


def test_biases_start_at_zero():
    assert not any(p.any() for name, p in MLP(40).named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 2}, "hidden must be even and at least 4, got 2"),
        ({"hidden": 7}, "hidden must be even and at least 4, got 7"),
        ({"in_dim": 0}, "in_dim and num_layers must be at least 1, got 0 and 3"),
        ({"num_layers": 0}, "in_dim and num_layers must be at least 1, got 2 and 0"),
        ({"num_classes": 0}, "num_classes must be at least 1 or None, got 0"),
    ],
)
def test_constructor_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        MLP(40, **options)


def test_call_refusals():
    net = MLP(40, num_classes=3)
    x, t = torch.randn(2, 2), torch.ones(2)
    with pytest.raises(ValueError, match=r"x must have shape \(b, 2\), got \(2, 3\)"):
        net(torch.randn(2, 3), t)
    with pytest.raises(ValueError, match=r"t must have shape \(2,\) like the batch, got \(1,\)"):
        net(x, torch.ones(1))
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.3, got 4\.\.4"):
        net(x, t, torch.tensor([4, 4]))
    with pytest.raises(ValueError, match="labels need a network built with num_classes"):
        MLP(40)(x, t, torch.tensor([1, 1]))


def test_classifier():
    net = SmallClassifier(1, 8, 10)
    x = torch.randn(3, 1, 8, 8)
    features = net.features(x)
    assert features.shape == (3, 32)
    assert features.min() >= 0
    assert net(x).shape == (3, 10)
    torch.testing.assert_close(net(x), net.head(features))
    assert count(net) == 160 + 4640 + (128 * 32 + 32) + 330
    larger = SmallClassifier(3, 12, 2, num_features=5)
    assert larger.features(torch.randn(1, 3, 12, 12)).shape == (1, 5)


def test_classifier_refusals():
    with pytest.raises(ValueError, match="size must be a positive multiple of 4, got 10"):
        SmallClassifier(1, 10, 10)
    with pytest.raises(ValueError, match=r"num_classes and num_features .* got 0 and 32"):
        SmallClassifier(1, 8, 0)
    with pytest.raises(ValueError, match="images must be 8x8, got 8x12"):
        SmallClassifier(1, 8, 10)(torch.randn(1, 1, 8, 12))
    with pytest.raises(ValueError, match=r"x must have shape \(b, 1, h, w\)"):
        SmallClassifier(1, 8, 10)(torch.randn(1, 3, 8, 8))
