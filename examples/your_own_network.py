# %% Your own network in 20 lines: any module called with (x, t), t in 1..T
import sys

import torch
from torch import nn

from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule, p_sample_loop, train
from denoising_diffusion.data import make_moons

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2)
        )

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None] / 50], dim=1))


def loss(model, batch, generator):
    t = torch.randint(1, model.num_timesteps + 1, (len(batch[0]),), generator=generator)
    return model.p_losses(batch[0], t, torch.randn(batch[0].shape, generator=generator)).mean()


torch.manual_seed(0)
model = GaussianDiffusion(cosine_beta_schedule(50), (2,), Network(), prediction="v")
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for _ in train(model, loss, (make_moons(5000),), optimizer, steps=steps, batch_size=256, seed=0):
    pass
print(p_sample_loop(model, 5, seed=0))
