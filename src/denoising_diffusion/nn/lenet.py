"""LeNet-5, the network of the Fréchet LeNet Distance."""

from torch import Tensor, nn

from denoising_diffusion.nn._checks import check_image, check_num_classes
from denoising_diffusion.nn.init import seed_init

SIDE = 28


class LeNet5(nn.Module):
    """Two 5×5 convolutions with max-pooling and three linear layers, ReLU throughout.

    After LeCun et al. 1998 (Proc. IEEE 86, section II.B), with maximum pooling and ReLU as in
    DenoisingDiffusion.jl; 44,426 parameters for one channel and ten classes.

    Args:
        in_channels: channels of the images.
        num_classes: the number of classes, at least 1.

    Raises:
        ValueError: an argument outside these limits; when called, images that are not 28×28.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        if in_channels < 1:
            raise ValueError(f"in_channels must be at least 1, got {in_channels}")
        check_num_classes(num_classes)
        self.in_channels = in_channels
        self.hidden = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.head = nn.Linear(84, num_classes)
        seed_init(self)

    def features(self, x: Tensor) -> Tensor:
        """(b, in_channels, 28, 28) -> (b, 84), after the last hidden ReLU."""
        check_image(x, self.in_channels, 1)
        if x.shape[2:] != (SIDE, SIDE):
            raise ValueError(f"images must be {SIDE}x{SIDE}, got {x.shape[2]}x{x.shape[3]}")
        return self.hidden(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, 28, 28) -> logits of shape (b, num_classes)."""
        return self.head(self.features(x))
