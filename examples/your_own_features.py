# %% A Fréchet distance in your own features
import sys

import torch

import denoising_diffusion as dd

n = 20_000 if len(sys.argv) < 2 else 2_000
generator = torch.Generator().manual_seed(0)
data, samples = dd.make_spiral(n, generator), dd.make_spiral(n, generator)
blurred = samples + 0.05 * torch.randn(samples.shape, generator=generator)


# %% features: any function to (n, d)
def features(points):
    angles = torch.cat([points * 3, points * 6], dim=1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=1)


# %% statistics are small, can be merged, and are compared
halves = [dd.FeatureStatistics.from_features(features(part)) for part in data.chunk(2)]
reference = halves[0].merge(halves[1])
for name, points in (("fresh", samples), ("blurred", blurred)):
    found = dd.frechet_with_error(features(points), reference)
    print(f"{name}: {found.value:.5f} ± {found.interval:.5f}")
fresh = dd.FeatureStatistics.from_features(features(samples))
print("the same:", round(dd.frechet_distance(fresh, reference), 5))
