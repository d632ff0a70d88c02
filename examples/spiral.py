# %% A spiral: train a diffusion model of 2-D points and draw new ones, in a few lines
import sys

import torch

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

# %% the model: a schedule, a network, and what the network predicts
torch.manual_seed(0)
network = dd.MLP(100, in_dim=2, hidden=64, num_layers=4)
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), (2,), network, prediction="v")

# %% training is a generator: look at a step whenever you like
average = dd.EMA(model, 0.99)
adam = torch.optim.Adam(model.parameters(), lr=3e-3)
options = {"steps": steps, "batch_size": 512, "seed": 0, "averages": {"ema": average}}
for step in dd.train(model, dd.DiffusionLoss(), (dd.make_spiral(20_000),), adam, **options):
    if step.step % 500 == 0:
        print(f"step {step.step}: loss {step.loss.item():.3f}")

# %% sample i of a seed is the same in any batch
samples = dd.last(dd.sample(average.model, 1000, seed=0)).x
print(
    "mean distance to the spiral:", round(dd.mean_curve_distance(samples, dd.CURVES["spiral"]), 4)
)
