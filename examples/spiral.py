# %% A spiral: train a diffusion model of 2-D points and draw new ones, in a few lines
import sys

import torch

from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule, p_sample_loop, train
from denoising_diffusion.data import CURVES, make_spiral
from denoising_diffusion.metrics import mean_curve_distance
from denoising_diffusion.nn import MLP

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

# %% the model: a schedule and a network
torch.manual_seed(0)
network = MLP(100, in_dim=2, hidden=64, num_layers=4)
model = GaussianDiffusion(cosine_beta_schedule(100), (2,), network, prediction="v")


# %% the loss: any function of (model, batch, generator)
def loss(model, batch, generator):
    x = batch[0]
    t = torch.randint(1, model.num_timesteps + 1, (len(x),), generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    return model.p_losses(x, t, noise).mean()


# %% training is a generator: look at a step whenever you like
data = (make_spiral(20_000),)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in train(model, loss, data, optimizer, steps=steps, batch_size=512, seed=0):
    if step.step % 500 == 0:
        print(f"step {step.step}: loss {step.loss.item():.3f}")

# %% sample i of a seed is the same in any batch
samples = p_sample_loop(model, 1000, seed=0)
print("mean distance to the spiral:", round(mean_curve_distance(samples, CURVES["spiral"]), 4))
