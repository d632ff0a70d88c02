# %% Filling a hole in a picture, with any trained run of images: python inpainting.py runs/digits
import sys
from pathlib import Path

import torch

import denoising_diffusion as dd

data = dd.load_dataset("digits")
images, _ = dd.whole(data.train)
truth = dd.whole(data.validation)[0][4:5]  # a 3 that was held out
given = sys.argv[1] if len(sys.argv) > 1 else "40"


# %% a denoiser: of a run, or, without one, the best there is for these images
def ideal(x, t):
    alpha, sigma = schedule.at(t, like=x)
    distances = torch.cdist(x.flatten(1), alpha.flatten()[0] * images.flatten(1))
    weights = torch.softmax(-distances.square() / (2 * sigma.flatten()[0] ** 2), dim=1)
    return (weights @ images.flatten(1)).view(x.shape)


if Path(given).is_dir():
    model = dd.load(given, device="cpu")
    schedule, steps = model.schedule, model.num_timesteps
    denoise = dd.bound(model.denoise, torch.zeros(8, dtype=torch.int64))  # 0: no label
else:
    schedule = dd.Schedule.from_betas(dd.cosine_beta_schedule(100))
    denoise, steps = ideal, min(40, int(given))

# %% what is known: the upper half
known = torch.ones(1, 8, 8, dtype=torch.bool)
known[:, 4:] = False
mask = dd.Mask(known)
observation = mask.apply(truth)

# %% a denoiser that agrees with it, and any sampler; the same with dd.average_pooling, dd.blur, ...
guided = dd.clipped(dd.pigdm(denoise, schedule, observation, mask))
times = dd.time_grid(schedule.num_timesteps, steps)
noise = dd.SampleNoise(0, range(8))
answers = dd.last(
    dd.ddpm(guided, schedule, noise(truth.expand(8, 1, 8, 8)), times, randn_like=noise)
).x
print(
    "known pixels differ by at most",
    round((mask.apply(answers) - observation).abs().max().item(), 2),
)

# %% RePaint is a sampler of its own
filled = dd.repaint(
    dd.clipped(denoise), schedule, noise(answers), times,
    observation=truth[0], known=known, jump=2, repeats=3, randn_like=noise,
)  # fmt: skip
both = torch.cat([truth, answers, mask.adjoint(observation), dd.last(filled).x])
tiles = ((both.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
dd.image_grid(tiles, columns=9).save("inpainting.png")
print("inpainting.png: the picture and answers; below, what is known of it and RePaint's answers")
