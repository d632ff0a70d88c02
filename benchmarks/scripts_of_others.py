"""Two others as their own scripts train and sample: optimiser, rate, average, sampler, steps.

diffusers: examples/unconditional_image_generation/train_unconditional.py with its defaults, and
DDPMPipeline. denoising-diffusion-pytorch: the Trainer of its README's example, in float32. Both
flip images by default, which digits do not stand; here neither does. Step k draws from k alone, so
that a stopped run goes on as if it had not been.
"""

import time
from pathlib import Path

import measuring as m
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    read_tensors,
    restore_training_state,
    training_state,
    whole,
    write_tensors,
)
from denoising_diffusion.data import Dataset

SECONDS_BETWEEN_CHECKPOINTS = 300.0
TOGETHER = 250
"""Samples that are drawn at a time."""


class Script:
    """What the two have in common."""

    batch: int
    module: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, folder: Path, data: Dataset, images: int) -> None:
        self.file = folder / "checkpoint.safetensors"
        self.images = whole(data.train)[0]
        self.shape = data.shape
        self.step, self.seconds, self.steps = 0, 0.0, -(-images // self.batch)
        torch.manual_seed(0)
        self.build()
        if self.file.exists():
            stored = read_tensors(self.file)
            average = {k: v for k, v in stored.tensors.items() if k.startswith("ema.")}
            own = {k: v for k, v in stored.tensors.items() if k not in average}
            restore_training_state(own, self.module, {}, self.optimizer)
            self.step, self.seconds = stored.notes["step"], stored.notes["seconds"]
            self.put_average({k.removeprefix("ema."): v for k, v in average.items()})

    @property
    def seen(self) -> tuple[int, float]:
        """Images, and seconds of training."""
        return self.step * self.batch, self.seconds

    def advance(self, images: int) -> None:
        """Train until so many images are seen."""
        last = time.perf_counter()
        while self.step < -(-images // self.batch):
            begin = time.perf_counter()
            torch.manual_seed(10**9 + self.step)
            x = self.images[torch.randint(len(self.images), (self.batch,))]
            self.module.train()
            self.train_on(x)
            self.step += 1
            now = time.perf_counter()
            self.seconds += now - begin
            if now - last > SECONDS_BETWEEN_CHECKPOINTS:
                self.save()
                last = now
        self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        average = {f"ema.{k}": v.contiguous() for k, v in self.average().items()}
        tensors = training_state(self.module, {}, self.optimizer) | average
        write_tensors(self.file, tensors, {"step": self.step, "seconds": round(self.seconds, 3)})

    def sample(self, num: int) -> tuple[Tensor, None]:
        """Images (num, c, h, w) in [-1, 1], always from the same noise."""
        rows = []
        with torch.no_grad():
            for first in range(0, num, TOGETHER):
                torch.manual_seed(2 * 10**9 + first)
                rows.append(self.draw(min(TOGETHER, num - first)))
        return torch.cat(rows), None


class Diffusers(Script):
    """AdamW at 1e-4 along half a cosine, batch 16, 1000 linear steps, ancestral sampling."""

    batch = 16

    def build(self) -> None:
        """Network, optimiser, schedules and average."""
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        self.module = m.diffusers_unet()
        self.scheduler = DDPMScheduler(num_train_timesteps=1000)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        steps = max(self.steps, 501)
        self.rate = get_scheduler(
            "cosine", self.optimizer, num_warmup_steps=500, num_training_steps=steps
        ).lr_lambdas[0]
        self.ema = EMAModel(
            self.module.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
        )

    def train_on(self, x: Tensor) -> None:
        """One step."""
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),))
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-4 * self.rate(self.step)
        answer = self.module(self.scheduler.add_noise(x, noise, t), t)
        nn.functional.mse_loss(answer, noise).backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.ema.step(self.module.parameters())
        self.optimizer.zero_grad(set_to_none=True)

    def draw(self, num: int) -> Tensor:
        """Samples of the averaged weights in 1000 steps."""
        self.ema.store(self.module.parameters())
        self.ema.copy_to(self.module.parameters())
        self.module.eval()
        self.scheduler.set_timesteps(1000)
        x = torch.randn(num, *self.shape)
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(self.module(x, t), t, x).prev_sample
        self.ema.restore(self.module.parameters())
        return x.clamp(-1, 1)

    def average(self) -> dict[str, Tensor]:
        """The averaged weights."""
        return {str(i): p for i, p in enumerate(self.ema.shadow_params)}

    def put_average(self, tensors: dict[str, Tensor]) -> None:
        """Take them up again."""
        self.ema.shadow_params = [tensors[str(i)] for i in range(len(tensors))]
        self.ema.optimization_step = self.step


class Lucidrains(Script):
    """Adam at 8e-5, batch 32 twice, 1000 sigmoid steps of v, DDIM in 250."""

    batch = 64

    def build(self) -> None:
        """Network, optimiser and average."""
        from ema_pytorch import EMA

        theirs = m.lucidrains()
        theirs.tqdm = lambda x, **_: x  # no bar for every walk
        self.module = theirs.GaussianDiffusion(
            m.lucidrains_unet(), image_size=self.shape[-1], timesteps=1000, sampling_timesteps=250
        )
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=8e-5, betas=(0.9, 0.99))
        self.ema = EMA(self.module, beta=0.995, update_every=10)

    def train_on(self, x: Tensor) -> None:
        """One step, in two halves."""
        for half in ((x + 1) / 2).chunk(2):
            (self.module(half) / 2).backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()

    def draw(self, num: int) -> Tensor:
        """Samples of the averaged weights."""
        self.ema.ema_model.eval()
        return self.ema.ema_model.sample(batch_size=num) * 2 - 1

    def average(self) -> dict[str, Tensor]:
        """The averaged weights and their counters."""
        own = self.ema.state_dict()
        return {k: v for k, v in own.items() if not k.startswith("online_model.")}

    def put_average(self, tensors: dict[str, Tensor]) -> None:
        """Take them up again."""
        self.ema.load_state_dict(tensors, strict=False)
