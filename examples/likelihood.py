# %% How likely is it? The density that a model learned, exactly, and what that costs in bits
import sys

import torch

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

# %% a small model of two moons, as in the other examples
torch.manual_seed(0)
network = dd.MLP(100, in_dim=2, hidden=64, num_layers=4)
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), (2,), network, prediction="v")
average = dd.EMA(model, 0.99)
adam = torch.optim.Adam(model.parameters(), lr=3e-3)
options = {"steps": steps, "batch_size": 512, "seed": 0, "averages": {"ema": average}}
for _ in dd.train(model, dd.DiffusionLoss(), (dd.make_moons(20_000),), adam, **options):
    pass
denoise, schedule = average.model.eval().denoise, model.schedule

# %% held-out points: bits per dimension by the ODE, and the variational bound above them
fresh = dd.make_moons(500, torch.Generator().manual_seed(1))
ode = dd.bits_per_dim(dd.ode_log_likelihood(denoise, schedule, fresh).value, 2)
bound = dd.bits_per_dim(dd.variational_bound(denoise, schedule, fresh), 2)
print(f"bits per dimension: {ode.mean():.3f} by the ODE, at most {bound.mean():.3f} by the bound")

# %% a map of the density, which sums to nearly 1
side = 96
axis = torch.linspace(2, -2, side)
places = torch.stack(torch.meshgrid(-axis, axis, indexing="xy"), -1).view(-1, 2)
density = dd.ode_log_likelihood(denoise, schedule, places).value.exp()
print("mass in the picture:", round(density.sum().item() * (4 / (side - 1)) ** 2, 3))
grey = (density / density.quantile(0.99)).clamp(max=1) * 255
picture = grey.view(1, side, side, 1).to(torch.uint8).numpy()
dd.image_grid(picture, 1, scale=4).save("likelihood.png")
