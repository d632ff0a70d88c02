"""Settings for every test."""

import torch

# Many threads on tiny tensors only get in each other's way: minutes instead of seconds.
torch.set_num_threads(1)
