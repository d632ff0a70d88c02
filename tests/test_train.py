import copy

import pytest
import torch
from torch import nn

from denoising_diffusion.ema import EMA
from denoising_diffusion.training import _Order, train

DATA = (torch.arange(10.0).unsqueeze(1), torch.arange(10))


def loss(model, batch, generator):
    noise = torch.randn(batch[0].shape, generator=generator)
    return (model(batch[0] + 0.1 * noise) - batch[1].unsqueeze(1)).square().mean()


def objects():
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    return model, torch.optim.Adam(model.parameters(), lr=1e-2), EMA(model, 0.9)


def run(model, optimizer, ema, start, steps):
    options = {"batch_size": 4, "seed": 3, "ema": ema, "learning_rate": lambda k: 0.1 / k}
    return list(train(model, loss, DATA, optimizer, start=start, steps=steps, **options))


@pytest.mark.parametrize("stop", [1, 2, 3, 7])
def test_stopped_and_continued_equals_never_stopped_bit_for_bit(stop):
    model, optimizer, ema = objects()
    whole = run(model, optimizer, ema, 0, 12)
    other, other_optimizer, other_ema = objects()
    first = run(other, other_optimizer, other_ema, 0, stop)
    fresh = copy.deepcopy(other)
    fresh_optimizer = torch.optim.Adam(fresh.parameters(), lr=1.0)
    fresh_optimizer.load_state_dict(other_optimizer.state_dict())
    rest = run(fresh, fresh_optimizer, other_ema, stop, 12)
    assert [s.loss.item() for s in first + rest] == [s.loss.item() for s in whole]
    assert torch.equal(fresh.weight, model.weight)
    assert torch.equal(other_ema.model.weight, ema.model.weight)


def test_every_epoch_holds_every_row_once_and_batches_are_full():
    order = _Order(10, seed=1)
    rows = torch.cat([order.rows(4 * k, 4) for k in range(10)])
    for epoch in range(4):
        assert sorted(rows[10 * epoch : 10 * epoch + 10].tolist()) == list(range(10))
    assert len(order.rows(3, 35)) == 35


def test_the_average_follows_its_recurrence():
    model, optimizer, ema = objects()
    expected = model.weight.item()
    options = {"batch_size": 4, "seed": 3, "ema": ema}
    for step in train(model, loss, DATA, optimizer, steps=30, **options):
        decay = min(0.9, (1 + step.step) / (10 + step.step))
        expected = decay * expected + (1 - decay) * model.weight.item()
        assert ema.model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_cut_to_the_norm():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    options = {"steps": 1, "batch_size": 4, "seed": 0, "max_grad_norm": 1e-3}
    list(train(model, loss, DATA, optimizer, **options))
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch_size": 0}, "batch_size and steps must be >= 1"),
        ({"steps": 0}, "batch_size and steps must be >= 1"),
        ({"start": 9}, r"start must lie in \[0, 5\], got 9"),
        ({"data": ()}, "data must hold tensors of one length"),
        ({"data": (torch.zeros(3), torch.zeros(4))}, r"got \[3, 4\]"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(change, text):
    model, optimizer, _ = objects()
    options = {"data": DATA, "steps": 5, "batch_size": 4, "seed": 0, **change}
    with pytest.raises(ValueError, match=text):
        train(model, loss, options.pop("data"), optimizer, **options)


def test_an_ema_decay_of_one_is_refused():
    with pytest.raises(ValueError, match=r"ema decay must lie in \[0, 1\), got 1"):
        EMA(nn.Linear(1, 1), 1)
