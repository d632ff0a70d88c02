# %% Super-resolution: digits of 8×8 drawn from pictures of 4×4, several from each
import sys

import torch

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
torch.manual_seed(0)
data = dd.load_dataset("digits").without_labels()
network = dd.SuperResolution.for_data(data.shape, 100, None, factor=2)
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), data.shape, network, "v", clip=data.clip)

# %% the network sees each image made smaller, now and then with noise, and now and then not at all
loss = dd.DiffusionLoss(conditions=dd.low_resolution(2))
adam = torch.optim.Adam(model.parameters(), lr=1e-3)
average = dd.EMA(model, dd.warmed_up(0.995))
training = dd.train(
    model, loss, data.train, adam, steps=steps, batch_size=32, seed=0, averages={"ema": average}
)
for _ in training:
    pass

# %% eight samples of each of ten held-out pictures; at level 0 they are as they are, without noise
truth = data.validation[torch.arange(10)][0]
low = dd.pooled(truth, 2)
denoise = dd.bound(average.model.denoise, low.repeat_interleave(8, 0), torch.zeros(80))
times = dd.time_grid(100, 20)
walk = dd.sample(
    average.model, 80, sampler=dd.ddim, times=times, denoise=dd.clipped(denoise), seed=0
)
with torch.no_grad():
    samples = dd.last(walk).x.view(10, 8, *data.shape)
mean, cubic = samples.mean(1), dd.bicubic(low, 2)
for name, x in (("bicubic", cubic), ("one sample", samples[:, 0]), ("mean of eight", mean)):
    print(f"{name}: {dd.psnr(x, truth).mean():.1f} dB, SSIM {dd.ssim(x, truth).mean():.3f}")
off = (dd.pooled(samples.flatten(0, 1), 2) - low.repeat_interleave(8, 0)) * 127.5
print(f"samples made smaller again: {off.square().mean().sqrt():.1f} grey levels from the picture")

# %% a row per picture: enlarged by repetition, three samples, the truth, bicubic
large = low.repeat_interleave(2, 2).repeat_interleave(2, 3)
columns = torch.stack([large, *samples[:, :3].unbind(1), truth, cubic], 1).flatten(0, 1)
pixels = ((columns + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
dd.image_grid(pixels, 6).save("super_resolution.png")
