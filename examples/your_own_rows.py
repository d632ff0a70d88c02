# %% Your own rows: pictures that are decoded from disk only when a batch asks for them
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from PIL import Image

import denoising_diffusion as dd

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500
folder = Path(mkdtemp())
for i in range(64):  # a cross at every place of 8 × 8; put your own pictures here
    cross = np.zeros((8, 8), np.uint8)
    cross[i // 8, :] = cross[:, i % 8] = 255
    Image.fromarray(cross).save(folder / f"{i:02d}.png")


# %% anything with a length that gives tensors for numbers
class Pictures:
    def __init__(self, folder):
        self.files = sorted(folder.glob("*.png"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, rows):
        images = [np.asarray(Image.open(self.files[i])) for i in rows.tolist()]
        return (torch.from_numpy(np.stack(images))[:, None].float() / 127.5 - 1,)


torch.manual_seed(0)
network = dd.UNet(1, 8, 100, channel_multipliers=(1, 2))
model = dd.GaussianDiffusion(dd.cosine_beta_schedule(100), (1, 8, 8), network, prediction="v")
adam = torch.optim.Adam(model.parameters(), lr=2e-3)
options = {"steps": steps, "batch_size": 32, "seed": 0}
*_, step = dd.train(model, dd.DiffusionLoss(), Pictures(folder), adam, **options)
for row in dd.ddim_sample_loop(model, 20, 1, seed=1)[0, 0]:
    print("".join("#" if v > 0 else "." for v in row))
