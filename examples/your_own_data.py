# %% Your own data in 20 lines: any tensor whose first dimension counts examples
import sys

import torch

from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule, ddim_sample_loop, train
from denoising_diffusion.nn import UNet

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500
images = torch.zeros(64, 1, 8, 8) - 1  # put your own here: (n, channels, height, width) in [-1, 1]
for i in range(64):
    images[i, 0, i // 8, :] = images[i, 0, :, i % 8] = 1  # a cross at every place

torch.manual_seed(0)
network = UNet(1, 8, 100, channel_multipliers=(1, 2))
model = GaussianDiffusion(cosine_beta_schedule(100), images.shape[1:], network, prediction="v")


def loss(model, batch, generator):
    t = torch.randint(1, model.num_timesteps + 1, (len(batch[0]),), generator=generator)
    return model.p_losses(batch[0], t, torch.randn(batch[0].shape, generator=generator)).mean()


optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for _ in train(model, loss, (images,), optimizer, steps=steps, batch_size=32, seed=0):
    pass
for row in ddim_sample_loop(model, 20, 1, seed=1)[0, 0]:
    print("".join("#" if v > 0 else "." for v in row))
