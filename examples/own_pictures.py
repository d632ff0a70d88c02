# %% Your own pictures: sub-folders are classes; the network is told what augmentation did
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from PIL import Image

import denoising_diffusion as dd
from denoising_diffusion.augment import PictureAugment

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
folder = Path(mkdtemp())
for name in ("lying", "standing"):  # bars at every place; put your own pictures here
    (folder / name).mkdir()
    for i in range(2, 14):
        bar = np.zeros((16, 16), np.uint8)
        bar[i - 1 : i + 2, 2:14] = 255
        Image.fromarray(bar if name == "lying" else bar.T).save(folder / name / f"{i}.png")

data = dd.load_dataset("folder", path=folder, size=8)
print(*data.notes, sep="\n")

# %% a network that is told the class, and what was done to a picture
torch.manual_seed(0)
augment = PictureAugment(shift=0.2)
network = dd.UNet(1, 16, 100, channel_multipliers=(1, 2), num_classes=2, pad=True, dropout=0.1,
                  augmentations=augment.width)  # fmt: skip
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), data.shape, network, prediction="v")
average = dd.EMA(model, 0.99)
adam = torch.optim.Adam(model.parameters(), lr=2e-3)
loss = dd.DiffusionLoss(augment=augment)
options = {"steps": steps, "batch_size": 16, "seed": 0, "averages": {"ema": average}}
*_, step = dd.train(model, loss, data.train, adam, **options)

# %% two of each class; samples are told of no change
labels = torch.tensor([1, 2, 1, 2])
images = dd.ddim_sample_loop(average.model, 25, 4, labels=labels, seed=1)[:, 0]
for row in torch.cat(list(images), dim=1):
    print("".join("#" if v > 0 else "." for v in row))
