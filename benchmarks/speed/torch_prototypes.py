"""The released way to make prototypes, in PyTorch.

    python -m benchmarks.speed.torch_prototypes --width 64 --images 100

prints the seconds of an iteration as JSON on its last line: all images in one batch
through a ResNet18, gradients of all weights and of the images, a step of length 0.1.
As in the code released with arXiv 2305.15563; weights are random, which does not
change the time. Imports no TensorFlow.
"""

import argparse
import json
import time

import torch
from torch import nn

STEP_LENGTH = 0.1


class Block(nn.Module):
    """Two convolutions and a shortcut, as in `architectures.resnet18`."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()

        def convolution(in_channels, size, stride):
            return nn.Sequential(
                nn.Conv2d(in_channels, channels, size, stride, size // 2, bias=False),
                nn.BatchNorm2d(channels),
            )

        self.first = convolution(in_channels, 3, stride)
        self.second = convolution(channels, 3, 1)
        is_same = stride == 1 and in_channels == channels
        self.shortcut = (
            nn.Identity() if is_same else convolution(in_channels, 1, stride)
        )

    def forward(self, images):
        """Features of the next block."""
        residual = self.second(torch.relu(self.first(images)))
        return torch.relu(residual + self.shortcut(images))


def resnet18(width: int, num_classes: int) -> nn.Module:
    """The network of `keras_confusion.models.architectures.resnet18`."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(width), nn.ReLU()]
    in_channels = width
    for stage in range(4):
        for index in range(2):
            channels = width * 2**stage
            stride = 2 if stage > 0 and index == 0 else 1
            layers.append(Block(in_channels, channels, stride))
            in_channels = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(in_channels, num_classes))


def iterate(model: nn.Module, images, targets):
    """One iteration; returns the new images."""
    images = images.detach().requires_grad_(True)
    loss = nn.functional.cross_entropy(model(images), targets)
    model.zero_grad()
    loss.backward()
    lengths = images.grad.flatten(1).norm(dim=1)[:, None, None, None]
    return (images.detach() - STEP_LENGTH * images.grad / lengths).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = resnet18(options.width, options.classes).eval()
    images = torch.rand(options.images, 3, 32, 32)
    targets = torch.arange(options.images) % options.classes
    images = iterate(model, images, targets)
    start = time.perf_counter()
    for _ in range(options.iterations):
        images = iterate(model, images, targets)
    seconds = (time.perf_counter() - start) / options.iterations
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
