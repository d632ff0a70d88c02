import pytest
import torch

from denoising_diffusion.nn import MLP, SmallClassifier
from denoising_diffusion.nn.mlp import fitting_width


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
        ({"in_dim": 0}, "in_dim must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"num_octaves": 9}, r"num_octaves must lie in 0\.\.8, got 9"),
        ({"num_octaves": -1}, r"num_octaves must lie in 0\.\.8, got -1"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_constructor_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        MLP(40, **options)


def test_the_initial_weights_and_the_output_are_those_of_old_runs():
    torch.manual_seed(0)
    net, x = MLP(40, num_octaves=2, num_classes=3), torch.linspace(-1, 1, 6).reshape(3, 2)
    out = net(x, torch.tensor([1.0, 50.5, 100.0]), torch.tensor([0, 2, 1]))
    assert out.square().mean().item() == pytest.approx(2.0327432, rel=1e-4)
    assert [name for name in net.state_dict() if "layers.2" in name] == [
        "layers.2.branches.0.weight",
        "layers.2.branches.0.bias",
        "layers.2.branches.1.project.weight",
        "layers.2.branches.1.project.bias",
        "layers.2.branches.2.weight",
    ]


@pytest.mark.parametrize("classes", [None, 3])
def test_the_network_for_data(classes):
    torch.manual_seed(0)
    found = MLP.for_data((3,), 40, classes, hidden=8, num_layers=2, num_octaves=1)
    torch.manual_seed(0)
    net = MLP(40, in_dim=3, hidden=8, num_layers=2, num_octaves=1, num_classes=classes)
    x, t = torch.randn(4, 3), torch.arange(1.0, 5.0)
    assert (found.in_dim, found.num_octaves, found.num_classes) == (3, 1, classes)
    assert torch.equal(found(x, t), net(x, t))
    assert count(MLP.for_data([2], 40, None)) == 1_442


def test_the_network_for_data_of_another_kind():
    message = r"network mlp takes points, the data has shape \(1, 8, 8\)"
    with pytest.raises(ValueError, match=message):
        MLP.for_data((1, 8, 8), 40, None)
    with pytest.raises(ValueError, match=r"data_shape must hold .* at least 1, got \(0,\)"):
        MLP.for_data((0,), 40, None)


def test_call_refusals():
    net = MLP(40, num_classes=3)
    x, t = torch.randn(2, 2), torch.ones(2)
    with pytest.raises(ValueError, match=r"x must have shape \(b, 2\), got \(2, 3\)"):
        net(torch.randn(2, 3), t)
    with pytest.raises(ValueError, match=r"t must have shape \(2,\), got \(1,\)"):
        net(x, torch.ones(1))
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.3, got values from 4 to 4"):
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
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        SmallClassifier(1, 8, 0)
    with pytest.raises(ValueError, match="num_features must be at least 1, got 0"):
        SmallClassifier(1, 8, 10, 0)
    with pytest.raises(ValueError, match=r"x must have shape \(b, 1, 8, 8\), got \(.*8, 12\)"):
        SmallClassifier(1, 8, 10)(torch.randn(1, 1, 8, 12))
    with pytest.raises(ValueError, match=r"x must have shape \(b, 1, 8, 8\)"):
        SmallClassifier(1, 8, 10)(torch.randn(1, 3, 8, 8))


def test_the_width_follows_from_the_number_of_rows():
    widths = [fitting_width(n) for n in (1, 270, 362, 363, 724, 725, 1448, 1449, 10**9)]
    assert widths == [48, 48, 48, 64, 64, 80, 80, 96, 96]
    few, many = (MLP.for_data((2,), 40, None, rows, hidden=0) for rows in (270, 180_000))
    assert count(few) == count(MLP(40, hidden=48)) and count(many) == count(MLP(40, hidden=96))
    # What is asked for is what is made.
    assert count(MLP.for_data((2,), 40, None, 270, hidden=80)) == count(MLP(40, hidden=80))
    with pytest.raises(ValueError, match="hidden must be"):
        MLP.for_data((2,), 40, None, hidden=0)
    with pytest.raises(ValueError, match="num_rows must be at least 1, got 0"):
        fitting_width(0)
