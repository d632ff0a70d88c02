# %% Your own network and data, a progress bar, and a checkpoint from which it goes on exactly
import sys
from tempfile import mkdtemp

import torch
from torch import nn
from tqdm import tqdm

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
file = f"{mkdtemp()}/checkpoint.safetensors"


# %% a network is any module called with (x, t), t in 1..T
class Network(nn.Sequential):
    def forward(self, x, t):
        return super().forward(torch.cat([x, t[:, None] / 50], dim=1))


def go(start, end):
    torch.manual_seed(0)
    network = Network(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
    model = dd.GaussianDiffusion(dd.cosine_beta_schedule(50), (2,), network, prediction="v")
    averages, adam = {"ema": dd.EMA(model, 0.99)}, torch.optim.Adam(model.parameters(), lr=2e-3)
    if start:
        dd.restore_training_state(dd.read_tensors(file).tensors, model, averages, adam)
    data = (dd.make_moons(5000, torch.Generator()),)
    options = {"start": start, "steps": end, "batch_size": 256, "seed": 0, "averages": averages}
    for _ in tqdm(dd.train(model, dd.DiffusionLoss(), data, adam, **options), total=end - start):
        pass
    state = dd.training_state(model, averages, adam)
    dd.write_tensors(file, state, {"step": end})
    return state


# %% stopped in the middle and continued, it is the run that never stopped
go(0, steps // 2)
continued, whole = go(steps // 2, steps), go(0, steps)
print("equal bit for bit:", all(torch.equal(continued[k], v) for k, v in whole.items()))
