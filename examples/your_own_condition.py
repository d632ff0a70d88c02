# %% Your own loss and your own condition: points on circles whose radius is given as a number
import sys

import torch
from torch import nn

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
torch.manual_seed(0)


class Network(nn.Sequential):
    def forward(self, x, t, radius):
        return super().forward(torch.cat([x, t[:, None] / 100, radius], dim=1))


network = Network(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), (2,), network, prediction="v")

# %% rows are (x, radius); the error and the conditions of a batch are functions of your own
angle, radius = torch.rand(20_000, 1) * 2 * torch.pi, 0.3 + torch.rand(20_000, 1)
circles = radius * torch.cat([angle.cos(), angle.sin()], dim=1)


def blurred(batch, generator):
    return (batch[1] + 0.01 * torch.randn(batch[1].shape, generator=generator),)


loss = dd.DiffusionLoss(error=nn.HuberLoss(reduction="none", delta=0.5), conditions=blurred)
adam = torch.optim.Adam(model.parameters(), lr=2e-3)
for _ in dd.train(model, loss, (circles, radius), adam, steps=steps, batch_size=512, seed=0):
    pass

# %% a condition is bound to the denoiser; no sampler hears of it
for wanted in (0.5, 1.0):
    denoise = dd.bound(model.denoise, torch.full((500, 1), wanted))
    x = dd.last(dd.sample(model, 500, denoise=denoise, seed=0)).x
    print(f"radius {wanted}: {x.norm(dim=1).mean().item():.2f}")
