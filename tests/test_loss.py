import math

import pytest
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    DiffusionLoss,
    GaussianDiffusion,
    Schedule,
    absolute_error,
    cosine_beta_schedule,
    held_out_loss,
    labels,
    stream,
    tables,
)
from denoising_diffusion.data import as_rows

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(50))
PREDICTIONS = sorted(tables.TABLES["prediction"])
WEIGHTS = [None, *sorted(tables.TABLES["weight"])]
X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Estimator(nn.Module):
    """One estimate f of x_start, a function of raw x and t."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.inner(torch.cat([x.tanh(), t[:, None] / 50], dim=1))


class Answering(nn.Module):
    """f in the words of a prediction: y = (f(x, t) - skip x) / out, however its input is scaled."""

    def __init__(self, prediction: str):
        super().__init__()
        self.estimate = Estimator()
        self.prediction = tables.bound("prediction", prediction)()
        self.raw: tuple[Tensor, Tensor] | None = None

    def forward(self, seen: Tensor, time: Tensor) -> Tensor:
        assert self.raw is not None
        x, t = self.raw
        alpha, sigma = (v.view(-1, 1) for v in SCHEDULE(t))
        skip, out = self.prediction.coefficients(alpha, sigma)
        expected, _ = self.prediction.inputs(x, t.double(), alpha, sigma)
        torch.testing.assert_close(seen, expected, rtol=1e-12, atol=1e-12)
        return (self.estimate(x, t.double()) - skip * x) / out


class Model(GaussianDiffusion):
    """Hands raw x and t to the network beside what the prediction makes of them."""

    def _answer(self, x, t, alpha, sigma, conditions):
        self.denoise_fn.raw = (x, t)
        return super()._answer(x, t, alpha, sigma, conditions)


def weighted_x_start_error(weight, estimate: Estimator, t: Tensor, noise: Tensor) -> Tensor:
    alpha, sigma = (v.view(-1, 1) for v in SCHEDULE(t))
    x = alpha * X + sigma * noise
    factor = weight(2 * (alpha.log() - sigma.log()))
    return (factor * (estimate(x, t.double()) - X) ** 2).mean()


TIMES = torch.tensor([1.0, 3.5, 10, 24.25, 40, 50])


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weight", [w for w in WEIGHTS if w] + ["one", "snr"])
def test_every_prediction_gives_the_loss_and_gradients_of_one_weighted_x_start_error(
    prediction, weight
):
    own = {"one": torch.ones_like, "snr": torch.exp}
    weigh = own.get(weight) or tables.bound("weight", weight)
    model = Model(SCHEDULE, (3,), Answering(prediction), prediction)
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(5))
    loss = DiffusionLoss(times=lambda schedule, n, generator: TIMES, weight=weigh)
    value = loss(model, (X,), torch.Generator().manual_seed(5))
    value.backward()
    reference = Estimator()
    expected = weighted_x_start_error(weigh, reference, TIMES, noise)
    expected.backward()
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    for mine, theirs in zip(
        model.denoise_fn.estimate.parameters(), reference.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_target_is_what_gives_x_start_back(prediction):
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(5))
    alpha, sigma = (v.view(-1, 1) for v in SCHEDULE(TIMES))
    x = alpha * X + sigma * noise
    found = tables.bound("prediction", prediction)()
    skip, out = found.coefficients(alpha, sigma)
    targets = []

    def loss(answer: Tensor, target: Tensor) -> Tensor:
        targets.append(target)
        return (answer - target).square()

    model = GaussianDiffusion(SCHEDULE, (3,), lambda x, t: torch.zeros_like(x), prediction)
    model.p_losses(X, TIMES, noise, loss=loss)
    torch.testing.assert_close(skip * x + out * targets[0], X, rtol=0, atol=1e-11)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_rows_of_an_accelerator_are_those_of_the_host(prediction):
    model = GaussianDiffusion(SCHEDULE, (3,), lambda x, t: x, prediction)
    alpha, sigma = SCHEDULE(TIMES)
    there = model._gathered(TIMES, alpha, sigma)
    torch.testing.assert_close(there, model._derived(alpha, sigma), rtol=1e-12, atol=0)
    whole = torch.tensor([1, 7, 50])
    exact = model._gathered(whole, *(v.float() for v in SCHEDULE(whole)))
    torch.testing.assert_close(exact, model._derived(*SCHEDULE(whole)).float(), rtol=1e-7, atol=0)


def plain() -> GaussianDiffusion:
    torch.manual_seed(0)
    linear = nn.Linear(3, 3)
    return GaussianDiffusion(SCHEDULE, (3,), lambda x, t, *c: linear(x), "v")


def test_without_a_weight_it_is_the_mean_of_the_models_own_losses():
    model, generator = plain(), torch.Generator().manual_seed(4)
    t = torch.randint(1, 51, (6,), generator=generator)
    noise = torch.randn(6, 3, generator=generator)
    for error in (absolute_error, None):
        options = {} if error is None else {"error": error}
        value = DiffusionLoss(**options)(model, (X,), torch.Generator().manual_seed(4))
        losses = model.p_losses(X, t, noise, **({"loss": error} if error else {}))
        assert torch.equal(value, losses.mean())


def test_uniform_times_are_equally_likely():
    t = tables.bound("times", "uniform")(SCHEDULE, 50_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(t, minlength=51)
    assert counts[0] == 0
    chi_square = ((counts[1:] - 1000) ** 2 / 1000).sum().item()
    assert abs(chi_square - 49) < 5 * math.sqrt(2 * 49)


@pytest.mark.parametrize("dropout", [0.0, 0.25, 1.0])
def test_whole_rows_of_conditions_are_hidden_together(dropout: float):
    batch = (torch.zeros(8000, 2), torch.ones(8000, dtype=torch.long), torch.ones(8000, 3))
    first, second = labels(dropout)(batch, torch.Generator().manual_seed(0))
    hidden = first == 0
    assert torch.equal(second == 0, hidden[:, None].expand(-1, 3))
    share = hidden.double().mean().item()
    assert abs(share - dropout) <= 5 * math.sqrt(dropout * (1 - dropout) / 8000)
    assert torch.equal(first[~hidden], batch[1][~hidden])


def test_the_held_out_loss_never_changes_covers_every_time_and_forgets_no_row():
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        return torch.zeros_like(x)

    model = GaussianDiffusion(SCHEDULE, (3,), network, "x_start")
    x = torch.arange(100.0)[:, None].expand(100, 3)
    value = held_out_loss(model, as_rows((x,)))
    assert value == pytest.approx((x**2).mean().item(), rel=1e-12)
    counts = torch.bincount(seen[0].long(), minlength=51)[1:]
    assert counts.tolist() == [2] * 50
    assert held_out_loss(model, as_rows((x,)), rows=7) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: DiffusionLoss(error=3), TypeError, "error must be callable, got int 3"),
        (lambda: DiffusionLoss(weight="snr"), TypeError, "weight must be callable"),
        (lambda: labels(1.5), ValueError, r"label_dropout must lie in \[0, 1\], got 1.5"),
        (
            lambda: DiffusionLoss()(nn.Linear(3, 3), (X,), stream(0, "x")),
            TypeError,
            "model of a DiffusionLoss must be a GaussianDiffusion",
        ),
        (
            lambda: plain().p_losses(X, torch.zeros(6), X),
            ValueError,
            r"t must lie in \(0, 50\], got 0, the time of the data",
        ),
    ],
)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()
