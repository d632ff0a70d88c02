# %% From one picture to another: encode both, mix their noises on a sphere, draw the mixes
import sys

import torch

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 800

# %% a model of 8×8 digits, without classes
torch.manual_seed(0)
x, labels = dd.whole(dd.load_dataset("digits").train)
network = dd.UNet(1, 16, 100, channel_multipliers=(1, 2))
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), (1, 8, 8), network, "v", clip=(-1, 1))
average = dd.EMA(model, 0.99)
adam = torch.optim.Adam(model.parameters(), lr=2e-3)
options = {"steps": steps, "batch_size": 64, "seed": 0, "averages": {"ema": average}}
for _ in dd.train(model, dd.DiffusionLoss(), (x,), adam, **options):
    pass

# %% samplers without chance walk either way; times that rise encode
schedule, denoise = model.schedule, dd.clipped(average.model.eval().denoise)
ends = torch.stack([x[labels == 4][0], x[labels == 9][0]])
times = [*range(100, 0, -3)]  # down to t = 1, the least time that was trained
noise = dd.last(dd.heun(denoise, schedule, schedule.alpha[1].item() * ends, times[::-1])).x
mixes = dd.slerp(noise[:1], noise[1:], torch.linspace(0, 1, 9))[:, 0]
strip = dd.last(dd.heun(denoise, schedule, mixes, [*times, 0])).x

# %% the ends are the pictures again
error = (strip[[0, -1]] - ends).square().mean().sqrt().item()
print(f"the ends come back within {8 * error:.3f} of 16 grey levels, root mean square")
pictures = ((strip.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
dd.image_grid(pictures.permute(0, 2, 3, 1).numpy(), 9, scale=8).save("interpolation.png")
