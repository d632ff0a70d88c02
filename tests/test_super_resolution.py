"""Super-resolution: the condition, its network, the posterior it samples, its scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from denoising_diffusion import GaussianDiffusion, Schedule, cosine_beta_schedule, ddpm, last
from denoising_diffusion.config import Facts
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.kinds.enlarged import Enlarged, enlarged_scores
from denoising_diffusion.loss import DiffusionLoss, held_out_loss
from denoising_diffusion.metrics.fidelity import psnr, ssim
from denoising_diffusion.nn.super_resolution import HIDDEN, ByNumber, SuperResolution
from denoising_diffusion.run.inputs import of_pictures
from denoising_diffusion.run.prepare import load_data
from denoising_diffusion.sampling import denoiser, sample
from denoising_diffusion.seeds import stream
from denoising_diffusion.super_resolution import bicubic, given, low_resolution, noised, pooled


def pictures(n, c=1, size=8, seed=0):
    levels = torch.randint(0, 256, (n, c, size, size), generator=stream(seed, "test"))
    return levels / 127.5 - 1, levels


@pytest.mark.parametrize(("size", "factor"), [(8, 2), (12, 3), (12, 6), (28, 4), (28, 7)])
def test_a_pooled_picture_is_the_mean_in_whole_grey_levels(size, factor):
    x, levels = pictures(200, 3, size)
    n = size // factor
    blocks = levels.numpy().reshape(200, 3, n, factor, n, factor).transpose(0, 1, 2, 4, 3, 5)
    # Halves go to the even level, in integers: 2 * sum + area is compared with whole areas.
    sums, area = blocks.sum((-1, -2)), factor**2
    down, rest = np.divmod(sums, area)
    up = (2 * rest > area) | ((2 * rest == area) & (down % 2 == 1))
    expected = torch.from_numpy(down + up)
    low = pooled(x, factor)
    assert low.shape == (200, 3, n, n)
    assert torch.equal(((low.double() + 1) * 127.5).round().long(), expected)
    assert torch.equal(low, expected / 127.5 - 1)
    if area % 2 == 0:
        assert (2 * rest == area).any()


def test_pooling_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match=r"factor 3 must divide height and width, got \(8, 8\)"):
        pooled(torch.zeros(1, 1, 8, 8), 3)
    with pytest.raises(ValueError, match="factor must be at least 2, got 1"):
        pooled(torch.zeros(1, 1, 8, 8), 1)
    with pytest.raises(ValueError, match=r"label_dropout must lie in \[0, 1\], got 2"):
        low_resolution(2, label_dropout=2)


def test_data_made_smaller_is_what_the_first_model_of_a_cascade_learns():
    data = load_dataset("digits")
    small = load_data({"name": "digits", "labels": True, "pooled": 2})
    assert small.shape == (1, 4, 4)
    assert small.class_names == data.class_names
    assert small.fingerprint != data.fingerprint
    for mine, theirs in zip(whole(small.validation), whole(data.validation), strict=True):
        expected = pooled(theirs, 2) if theirs.ndim == 4 else theirs
        assert torch.equal(mine, expected)
    assert small.reference is small.validation
    with pytest.raises(ValueError, match=r"data.pooled leaves images of 1 × 1"):
        load_data({"name": "digits", "pooled": 8})
    with pytest.raises(ValueError, match="factor 3 must divide"):
        load_data({"name": "digits", "pooled": 3})


def test_bicubic_keeps_constants_and_straight_lines():
    assert torch.allclose(bicubic(torch.full((1, 3, 5, 5), 0.25), 4), torch.tensor(0.25))
    # Keys' kernel of a = -1/2 reproduces straight lines away from the edge.
    line = torch.linspace(-0.5, 0.5, 9).expand(1, 1, 9, 9)
    large = bicubic(line, 2)[0, 0, 8, 6:12]
    at = (torch.arange(6, 12) + 0.5) / 2 - 0.5
    assert torch.allclose(large, -0.5 + at / 8, atol=1e-6)


def test_the_noise_of_the_condition_and_what_is_hidden_follow_their_laws():
    n, most, dropout, nameless = 40_000, 0.3, 0.2, 0.25
    x = torch.full((n, 1, 2, 2), 0.5)
    labels = torch.ones(n, dtype=torch.long)
    make = low_resolution(2, noise=most, dropout=dropout, label_dropout=nameless)
    low, level, shown = make((x, labels), stream(0, "law"))
    low, hidden = low.flatten().double(), level == HIDDEN
    error = 4 / math.sqrt(n)
    assert hidden.double().mean().item() == pytest.approx(dropout, abs=error)
    assert (low[hidden] == 0).all()
    assert (shown[hidden] == 0).all()
    # Of those that are seen, labels alone are hidden now and then, apart from the level.
    assert (shown[~hidden] == 0).double().mean().item() == pytest.approx(nameless, abs=error)
    seen, level = low[~hidden], level[~hidden].double()
    value = pooled(x[:1], 2).item()
    assert (level == 0).double().mean().item() == pytest.approx(0.5, abs=error)
    assert (seen[level == 0] == value).all()
    some = level > 0
    assert level.max() <= most
    quantiles = torch.quantile(level[some], torch.tensor([0.25, 0.5, 0.75]).double())
    assert torch.allclose(quantiles, most * torch.tensor([0.25, 0.5, 0.75]).double(), atol=0.005)
    # sqrt(1 - level²) low + level noise, with noise of mean 0 and variance 1 at any level.
    noise = (seen[some] - (1 - level[some] ** 2).sqrt() * value) / level[some]
    for part in (noise[level[some] < most / 2], noise[level[some] > most / 2]):
        assert part.mean().item() == pytest.approx(0, abs=0.04)
        assert part.square().mean().item() == pytest.approx(1, abs=0.06)


def test_noise_keeps_unit_variance_and_a_batch_its_draws():
    low = torch.randn(50_000, 1, 1, 1, generator=stream(0, "low"))
    noise = torch.randn(low.shape, generator=stream(1, "low"))
    assert noised(low, torch.full((50_000,), 0.6), noise).std().item() == pytest.approx(1, abs=0.02)
    x, _ = pictures(4)
    make = low_resolution(2, dropout=0.5)
    one, two = (make((x,), stream(0, "again")) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one[:2], two[:2], strict=True))
    low, level, nobody = low_resolution(2, noise=0, dropout=0)((x,), stream(0, "clean"))
    assert torch.equal(low, pooled(x, 2))
    assert torch.equal(level, torch.zeros(4))
    assert nobody is None


def network(classes=None, factor=2, shape=(1, 8, 8)):
    torch.manual_seed(0)
    options = {"model_channels": 8, "channel_multipliers": (1, 2), "middle_attention": False}
    return SuperResolution.for_data(shape, 10, classes, factor=factor, **options).eval()


@pytest.mark.parametrize("classes", [None, 3])
def test_the_network_sees_picture_level_and_label(classes):
    net = network(classes)
    x, _ = pictures(2)
    t, low, level = torch.tensor([3.0, 7.0]), pooled(x, 2), torch.tensor([0.0, 0.1])
    labels = () if classes is None else (torch.tensor([1, 2]),)
    with torch.no_grad():
        y = net(x, t, low, level, *labels)
        assert y.shape == x.shape
        # A picture that is hidden is not one that is grey throughout.
        grey, hidden = torch.zeros_like(low), torch.full((2,), HIDDEN)
        answers = [
            y,
            net(x, t, low.flip(3), level, *labels),
            net(x, t, low, level + 0.1, *labels),
            net(x, t, grey, torch.zeros(2), *labels),
            net(x, t, grey, hidden, *labels),
        ]
        if classes:
            answers.append(net(x, t, low, level, torch.tensor([3, 3])))
    for i, one in enumerate(answers):
        assert all((one - other).abs().max() > 1e-4 for other in answers[:i])


def test_the_picture_lies_where_its_pixels_are():
    # One convolution in place of the layers shows that pixel (i, j) is repeated over its block.
    net = network(factor=4)
    net.layers = _Second()
    low = torch.arange(4.0).view(1, 1, 2, 2)
    large = net(torch.zeros(1, 1, 8, 8), torch.ones(1), low, torch.zeros(1))
    assert torch.equal(large[0, 0], torch.kron(low[0, 0], torch.ones(4, 4)))


class _Second(nn.Module):
    def forward(self, x, emb):
        return x[:, 1:]


def test_the_network_refuses_other_pictures():
    net, x = network(), torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"low must have shape \(2, 1, 4, 4\), got \(2, 1, 2, 2\)"):
        net(x, torch.ones(2), torch.zeros(2, 1, 2, 2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"level must have shape \(2,\)"):
        net(x, torch.ones(2), torch.zeros(2, 1, 4, 4), torch.zeros(3))
    with pytest.raises(ValueError, match=r"super-resolution needs images .*shape \(2,\)"):
        SuperResolution.for_data((2,), 10, None, factor=2)
    with pytest.raises(ValueError, match=r"network.factor must divide the 8 pixels .*, got 3"):
        SuperResolution.for_data((1, 8, 8), 10, None, factor=3)
    with pytest.raises(TypeError, match=r"network.factor must be an integer, got NoneType"):
        SuperResolution.for_data((1, 8, 8), 10, None)


def test_pictures_are_made_from_what_augmentation_leaves():
    seen = {}

    class Sees(nn.Module):
        def forward(self, x, t, low, level, labels, codes):
            seen.update(low=low, labels=labels, codes=codes)
            return x

    def brighter(x, generator):
        return x + 0.5, torch.ones(len(x), 3)

    model = GaussianDiffusion(cosine_beta_schedule(10), (1, 8, 8), Sees(), "v")
    make = low_resolution(2, noise=0, dropout=0)
    x = pictures(4)[0] / 4
    DiffusionLoss(conditions=make, augment=brighter)(model, (x,), stream(0, "codes"))
    assert torch.equal(seen["low"], pooled(x + 0.5, 2))
    assert seen["labels"] is None
    assert seen["codes"].shape == (4, 3)


def test_losses_of_training_and_of_what_is_held_out_are_finite():
    model = GaussianDiffusion(cosine_beta_schedule(10), (1, 8, 8), network(3), "v")
    rows = (pictures(6)[0], torch.arange(6) % 4)
    loss = DiffusionLoss(conditions=low_resolution(2, dropout=0.5, label_dropout=0.5))
    assert loss(model, rows, stream(0, "loss")).isfinite()
    clean = low_resolution(2, noise=0, dropout=0)
    values = [held_out_loss(model, rows, conditions=clean, rows=n) for n in (2, 6)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


class Analytic(nn.Module):
    """E[x_0 | x_t, low] of independent N(0, s²) pixels whose block means are known, as v or x_0."""

    def __init__(self, schedule, s, factor):
        super().__init__()
        self.schedule, self.s, self.factor = schedule, s, factor
        self.anchor = nn.Parameter(torch.zeros(()))

    def forward(self, x, t, low, level):
        alpha, sigma = (v.to(x).view(-1, 1, 1, 1) for v in self.schedule(t.double()))
        block = (self.factor, self.factor)
        large = torch.kron(low, torch.ones(1, 1, *block))
        means = torch.kron(nn.functional.avg_pool2d(x, block), torch.ones(1, 1, *block))
        share = alpha * self.s**2 / (alpha**2 * self.s**2 + sigma**2)
        known = (level < HIDDEN).view(-1, 1, 1, 1)
        # Without the means nothing ties the pixels of a block: all are shrunk alike.
        return torch.where(known, large + share * (x - means), share * x)


def posterior(steps, k, **guided):
    """k samples of each of three 2×2 pictures of 4×4 Gaussian pixels, by the run's own way."""
    s, factor = 0.3, 2
    schedule = Schedule.from_betas(cosine_beta_schedule(steps))
    model = GaussianDiffusion(schedule, (1, 4, 4), Analytic(schedule, s, factor), "x_start")
    low = pooled(torch.linspace(-0.5, 0.5, 12).view(3, 1, 2, 2).kron(torch.ones(1, 1, 2, 2)), 2)
    facts = Facts("images", (1, 4, 4), (), (0.0,), (1.0,), (-1.0, 1.0), 1, "", "test")
    inputs = of_pictures(Enlarged(facts, factor), low, k)
    bound, numbers = inputs.bound(model, 0, None)
    estimate = denoiser(bound, labels=numbers, clip=False, **guided)
    x = last(sample(bound, inputs.num, denoise=estimate, sampler=ddpm, seed=0)).x
    return s, low, x.detach().view(3, k, 1, 4, 4)


def variance_after(steps, s):
    """That of a pixel of N(0, s²) that ddpm walks down from sigma_T with its exact denoiser."""
    schedule = Schedule.from_betas(cosine_beta_schedule(steps))
    alpha, sigma = schedule.alpha.tolist(), schedule.sigma.tolist()
    v = sigma[-1] ** 2
    for t in range(steps, 0, -1):
        step = alpha[t] / alpha[t - 1]
        added = sigma[t] ** 2 - (step * sigma[t - 1]) ** 2
        share = alpha[t] * s**2 / (alpha[t] ** 2 * s**2 + sigma[t] ** 2)
        mean = (alpha[t - 1] * added * share + step * sigma[t - 1] ** 2) / sigma[t] ** 2
        v = mean**2 * v + added * sigma[t - 1] ** 2 / sigma[t] ** 2
    return v


def test_samples_follow_the_posterior_given_the_pooled_picture():
    s, low, x = posterior(25, 2000)
    mean = nn.functional.avg_pool2d(x.flatten(0, 1), 2).view(3, -1, 1, 2, 2)
    # What is known is kept, to the last bit but a few.
    assert (mean - low[:, None]).abs().max() < 1e-5
    # The rest is N(0, s² (1 - J / 4)), up to the steps' own error, which is known and vanishes.
    blocks = x.view(3, -1, 2, 2, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(-1, 4)
    rest = (blocks - blocks.mean(1, keepdim=True)).double()
    exact = variance_after(25, s) * (torch.eye(4) - 0.25).double()
    assert (rest.T @ rest / len(rest) - exact).abs().max() < 0.02 * s**2
    errors = [1 - variance_after(n, s) / s**2 for n in (200, 400, 800)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_guidance_pushes_towards_the_picture():
    s, _, zero = posterior(25, 1000, guidance_scale=0.0)
    # At scale 0 nothing is given: block means are the prior's, a quarter of the variance around 0.
    means = nn.functional.avg_pool2d(zero.flatten(0, 1), 2)
    assert means.mean().item() == pytest.approx(0, abs=0.005)
    assert means.var().item() == pytest.approx(variance_after(25, s) / 4, rel=0.05)
    _, _, one = posterior(25, 2)
    _, _, two = posterior(25, 2, guidance_scale=2.0)
    assert not torch.allclose(one, two)


def test_sample_i_is_the_same_in_any_batch_and_noise_is_its_own():
    facts = Facts("images", (1, 8, 8), (), (0.0,), (1.0,), (-1.0, 1.0), 1, "", "test")
    x, _ = pictures(2)
    model = GaussianDiffusion(cosine_beta_schedule(5), (1, 8, 8), network(), "v")
    inputs = of_pictures(Enlarged(facts, 2), pooled(x, 2), 3)
    assert inputs.num == 6
    noisy = replace(inputs, level=0.3)
    bound, numbers = noisy.bound(model, 0, None)
    rows = bound.denoise_fn.conditions[0]
    assert torch.equal(rows[0], torch.zeros(1, 4, 4))
    assert not torch.equal(rows[1], rows[2])
    other = noisy.bound(model, 1, None)[0].denoise_fn.conditions[0]
    assert not torch.equal(rows[1], other[1])
    plain, numbers = inputs.bound(model, 0, None)
    assert torch.equal(plain.denoise_fn.conditions[0][1:], inputs.low.repeat_interleave(3, 0))
    whole = last(sample(plain, 6, denoise=denoiser(plain, labels=numbers), seed=3)).x
    part = denoiser(plain, labels=numbers[4:])
    assert torch.allclose(
        last(sample(plain, 2, denoise=part, seed=3, first=4)).x, whole[4:], atol=1e-4
    )
    assert (
        inputs.origin["inputs"]["sha256"]
        == of_pictures(Enlarged(facts, 2), pooled(x, 2), 3).origin["inputs"]["sha256"]
    )
    changed = of_pictures(Enlarged(facts, 2), -pooled(x, 2), 3)
    assert changed.origin != inputs.origin


def test_a_bound_network_looks_conditions_up_by_number():
    class Tells(nn.Module):
        def forward(self, x, t, low, level, labels):
            return torch.stack([low.flatten(1).sum(1), level, labels], 1)

    class Holder(Tells):
        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(()))

    low = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    bound = given(Holder(), low, 0.1, torch.tensor([5, 6]))
    assert isinstance(bound, ByNumber)
    answer = bound(torch.zeros(3, 1), torch.ones(3), torch.tensor([2, 0, 1]))
    expected = torch.tensor([[2, 0.1, 6], [0, HIDDEN, 0], [1, 0.1, 5]])
    assert torch.allclose(answer, expected)


def test_psnr_has_its_closed_form():
    x = torch.zeros(3, 1, 4, 4)
    y = x + torch.tensor([0.2, 0.02, 0.0]).view(3, 1, 1, 1)
    # The range is 2: a tenth of it is 20 dB, a hundredth 40.
    assert psnr(x, y)[:2].tolist() == pytest.approx([20, 40], abs=1e-4)
    assert psnr(x, y)[2] == math.inf
    assert psnr(-torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item() == 0


def test_ssim_has_its_closed_forms():
    x = torch.rand(2, 3, 20, 16, generator=stream(0, "ssim")) * 2 - 1
    assert torch.allclose(ssim(x, x), torch.ones(2).double())
    assert torch.allclose(ssim(x, -x), ssim(-x, x))
    # Constants a and b in [0, 1]: (2 a b + c1) / (a² + b² + c1), with c1 = 0.01².
    flat = ssim(torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), -0.6)).item()
    assert flat == pytest.approx((2 * 0.6 * 0.2 + 1e-4) / (0.36 + 0.04 + 1e-4), rel=1e-6)
    # One window: the formula, in explicit sums over its 121 weights.
    a, b = (torch.rand(1, 1, 11, 11, generator=stream(i, "w")).double() * 2 - 1 for i in (1, 2))
    i, j = np.mgrid[-5:6, -5:6]
    w = np.exp(-(i**2 + j**2) / (2 * 1.5**2))
    w /= w.sum()
    p, q = ((v.numpy()[0, 0] + 1) / 2 for v in (a, b))
    mp, mq = (w * p).sum(), (w * q).sum()
    vp, vq, cov = ((w * u).sum() for u in ((p - mp) ** 2, (q - mq) ** 2, (p - mp) * (q - mq)))
    expected = (2 * mp * mq + 1e-4) * (2 * cov + 9e-4)
    expected /= (mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-10)
    # A larger image is the mean over all places of the window; a smaller one has a smaller window.
    c, d = (torch.rand(1, 1, 13, 11, generator=stream(i, "w")) * 2 - 1 for i in (3, 4))
    parts = [ssim(c[:, :, k : k + 11], d[:, :, k : k + 11]).item() for k in range(3)]
    assert ssim(c, d).item() == pytest.approx(sum(parts) / 3, rel=1e-6)
    assert -1 <= ssim(c[:, :, :4, :4], d[:, :, :4, :4]).item() < 1
    with pytest.raises(ValueError, match="truth must have shape"):
        ssim(c, d[:, :, :5])


def test_scores_of_samples_whose_errors_are_known():
    truth, _ = pictures(5, 3, 16)
    truth = truth * 0.5
    low = pooled(truth, 4)
    by_key = {s.key: s for s in enlarged_scores(truth.repeat_interleave(4, 0), truth, 4)}
    assert by_key["psnr"].value == math.inf
    assert by_key["ssim"].value == pytest.approx(1)
    assert by_key["consistency"].value == 0
    assert by_key["spread"].value == pytest.approx(0, abs=1e-4)
    assert by_key["psnr"].beside["psnr_bicubic"] == pytest.approx(
        psnr(bicubic(low, 4), truth).mean().item()
    )
    # Two grey levels brighter in the second channel, and noise that differs between the samples.
    off = torch.tensor([0.0, 2.0, 0.0]).view(1, 3, 1, 1) / 127.5
    noise = 0.2 * torch.tensor([1.0, -1.0, 1.0, -1.0]).repeat(5).view(-1, 1, 1, 1)
    pattern = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    samples = truth.repeat_interleave(4, 0) + off + noise * pattern
    by_key = {s.key: s for s in enlarged_scores(samples, truth, 4)}
    bias = by_key["colour_bias"].value
    assert bias[1] - bias[0] == pytest.approx(2, abs=0.1)
    assert by_key["consistency"].value == pytest.approx(2 / math.sqrt(3), abs=0.05)
    assert by_key["colour"].value == pytest.approx(2 / math.sqrt(3), abs=0.05)
    assert by_key["spread"].value == pytest.approx(0.2 * 127.5 * math.sqrt(4 / 3), rel=1e-3)
    one = -10 * math.log10((0.2**2 + (2 / 127.5) ** 2 / 3) / 4)
    mean = -10 * math.log10((2 / 127.5) ** 2 / 3 / 4)
    assert by_key["psnr"].beside["psnr_single"] == pytest.approx(one, abs=0.1)
    assert by_key["psnr"].value == pytest.approx(mean, abs=0.01)


def test_the_mean_of_samples_of_the_true_law_is_as_much_better_as_it_must_be():
    # Truth and 16 samples of one law: squared errors are 2 V of one and (1 + 1 / 16) V of the mean.
    n, k, size = 40, 16, 16
    draws = 0.1 * torch.randn(n, k + 1, 1, size, size, generator=stream(0, "law"))
    scores = enlarged_scores(draws[:, 1:].flatten(0, 1), draws[:, 0], 4)
    psnrs = next(s for s in scores if s.key == "psnr")
    expected = 10 * math.log10(2 / (1 + 1 / k))
    assert psnrs.value - psnrs.beside["psnr_single"] == pytest.approx(expected, abs=0.05)
    spread = next(s for s in scores if s.key == "spread").value
    assert spread == pytest.approx(0.1 * 127.5, rel=0.01)
