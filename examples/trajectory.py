# %% Sampling with a bar, keeping the whole trajectory, and counting what it cost
import sys

import torch
from tqdm import tqdm

import denoising_diffusion as dd

steps = min(50, int(sys.argv[1])) if len(sys.argv) > 1 else 50
schedule = dd.Schedule.from_betas(dd.cosine_beta_schedule(100))
data = dd.make_moons(2000, torch.Generator().manual_seed(0))


# %% a denoiser is any function: here the best there is for these 2,000 points
def ideal(x, t):
    alpha, sigma = schedule.at(t, like=x)
    distances = torch.cdist(x, alpha[0] * data)
    return torch.softmax(-(distances**2) / (2 * sigma**2), dim=1) @ data


# %% a sampler is a generator: what you keep of its steps is yours to choose
denoise = dd.counted(dd.clipped(ideal, -1.5, 1.5))
x = torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
walk = dd.ddim(denoise, schedule, x, dd.time_grid(100, steps))
trajectory = torch.stack([step.x for step in tqdm(walk, total=steps)])
print("states:", tuple(trajectory.shape), "evaluations:", denoise.evaluations)
print(
    "distance to the moons:", round(dd.mean_curve_distance(trajectory[-1], dd.CURVES["moons"]), 4)
)
