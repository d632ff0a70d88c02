# %% A network of your own under a name of its own: a whole run with pictures and a score
import dataclasses
import sys
import tempfile

import torch
from torch import nn

import denoising_diffusion as dd


class Mine(nn.Module):
    def __init__(self, data_shape, num_timesteps, num_classes, *, width: int = 64):
        super().__init__()
        self.num_timesteps, (dim,) = num_timesteps, data_shape
        layers = (nn.Linear(dim + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.layers = nn.Sequential(*layers, nn.Linear(width, dim))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None] / self.num_timesteps], dim=1))


# %% options of the network are its keyword-only arguments, read strictly from the configuration
dd.register("network", "mine", Mine)
config = dd.recipe("spiral")
short = len(sys.argv) > 1
config = dataclasses.replace(
    config,
    network={"kind": "mine", "width": 48},
    data={**config.data, "size": 2_000 if short else 100_000},
    schedule={"kind": "cosine", "timesteps": 5 if short else 100},
    training=dataclasses.replace(config.training, epochs=1),
    sampling=dataclasses.replace(config.sampling, num=500),
)
folder = tempfile.mkdtemp()
print(dd.train_run(config, folder).table)
print(dd.load(folder).denoise_fn)
