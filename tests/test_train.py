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
    options = {
        "batch_size": 4,
        "seed": 3,
        "averages": {"ema": ema},
        "learning_rate": lambda k: 0.1 / k,
    }
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
    options = {"batch_size": 4, "seed": 3, "averages": {"ema": ema}}
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
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"start": 9}, r"start must lie in \[0, 5\], got 9"),
        ({"data": ()}, "data must hold tensors of one length"),
        ({"max_grad_norm": -1}, "max_grad_norm must be a finite number above 0, got -1"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm must be a finite number above 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
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


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 1.5}, "seed must be an integer, got float 1.5"),
        ({"steps": "5"}, "steps must be an integer, got str '5'"),
        ({"batch_size": None}, "batch_size must be an integer, got NoneType"),
        ({"data": 3}, "data must be"),
        ({"learning_rate": 0.1}, "learning_rate must be callable"),
    ],
)
def test_wrong_types_are_refused_by_name_at_the_call(change, text):
    model, optimizer, _ = objects()
    options = {"data": DATA, "steps": 5, "batch_size": 4, "seed": 0, **change}
    with pytest.raises(TypeError, match=text):
        train(model, loss, options.pop("data"), optimizer, **options)


def test_an_optimiser_of_another_model_is_refused():
    model, _, _ = objects()
    _, other, _ = objects()
    with pytest.raises(ValueError, match="optimizer holds no parameter of the model"):
        train(model, loss, DATA, other, steps=5, batch_size=4, seed=0)


def test_a_learning_rate_that_is_no_number_stops_at_its_step():
    model, optimizer, _ = objects()
    rates = {1: 0.1, 2: float("nan")}
    steps = train(
        model, loss, DATA, optimizer, steps=2, batch_size=4, seed=0, learning_rate=rates.get
    )
    next(steps)
    with pytest.raises(ValueError, match="learning_rate must be a finite number >= 0, got nan"):
        next(steps)


@pytest.mark.parametrize("step", [0, -3])
def test_an_average_is_updated_from_step_1_on(step):
    model, _, ema = objects()
    with pytest.raises(ValueError, match=f"step must be at least 1, got {step}"):
        ema.update(model, step)


def test_several_averages_follow_their_own_recurrences():
    model, optimizer, ema = objects()
    fixed = EMA(model, lambda step: 1 - 1 / step)  # the mean of all weights so far
    seen = []
    options = {"steps": 9, "batch_size": 4, "seed": 3, "averages": {"a": ema, "b": fixed}}
    for _ in train(model, loss, DATA, optimizer, **options):
        seen.append(model.weight.item())
    assert fixed.model.weight.item() == pytest.approx(sum(seen) / len(seen), rel=1e-5)
    assert ema.model.weight.item() != pytest.approx(fixed.model.weight.item(), rel=1e-3)


def test_rows_that_decode_when_asked_train_like_tensors():
    class Lazy:
        def __len__(self):
            return 10

        def __getitem__(self, rows):
            return rows[:, None].float(), rows

    weights = []
    for data in (DATA, Lazy()):
        model, optimizer, _ = objects()
        list(train(model, loss, data, optimizer, steps=7, batch_size=4, seed=3))
        weights.append(model.weight.item())
    assert weights[0] == weights[1]


def test_dropout_belongs_to_the_step_and_leaves_the_global_generator_alone():
    def objects():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 64), nn.Dropout(0.5), nn.Linear(64, 1))
        return model, torch.optim.SGD(model.parameters(), lr=1e-3)

    def losses(start, steps, model, optimizer):
        options = {"batch_size": 4, "seed": 3, "start": start, "steps": steps}
        return [float(s.loss) for s in train(model, loss, DATA, optimizer, **options)]

    whole = losses(0, 8, *objects())
    parts = objects()
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = losses(0, 3, *parts)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    assert first + losses(3, 8, *parts) == whole


def test_every_step_drops_others():
    seen = []

    def note(model, batch, generator):
        seen.append(nn.functional.dropout(torch.ones(64)))
        return model(batch[0]).mean()

    model, optimizer, _ = objects()
    list(train(model, note, DATA, optimizer, steps=6, batch_size=2, seed=3))
    assert len({tuple(row.tolist()) for row in seen}) == 6
