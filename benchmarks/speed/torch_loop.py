"""A plain PyTorch training loop, channels-last, a new model for every network.

    python -m benchmarks.speed.torch_loop --data data.npz --batch-size 128

trains a few steps that are not counted, then one network, and prints what it took as
JSON on its last line: the poster's network, Adam with the same cosine decay, images in
memory. Imports no TensorFlow.
"""

import argparse
import contextlib
import json
import time

import numpy as np
import torch
from torch import nn

WARM_UP_STEPS = 5
LEARNING_RATE = 2e-3


def cnn(num_classes: int, image_shape) -> nn.Module:
    """The network of `architectures.cnn`, initialised as Keras does."""
    height, width, channels = image_shape
    layers: list[nn.Module] = [nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()]
    with torch.no_grad():
        example = torch.zeros(1, channels, height, width)
        num_features = nn.Sequential(*layers)(example).shape[1]
    layers += [nn.Linear(num_features, 64), nn.ReLU(), nn.Linear(64, num_classes)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def train(images, labels, test_images, options, *, seed: int):
    """Trains one network for one epoch and has it answer the test set.

    Args:
        images: uint8 `(n, channels, height, width)`, channels-last in memory.
        labels: int64 `(n,)`.
        test_images: As `images`.
        options: Those of the command line.
        seed: Of the initial weights and the order.

    Returns:
        Seconds of the epoch, of everything, and the labels given to the test set.
    """
    start = time.perf_counter()
    torch.manual_seed(seed)
    device = images.device
    _, channels, height, width = images.shape
    model = cnn(int(labels.max()) + 1, (height, width, channels))
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    num_steps = -(-len(images) // options.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    lower_precision = (
        torch.autocast(device.type, torch.bfloat16)
        if options.bfloat16
        else contextlib.nullcontext()
    )
    epoch_start = time.perf_counter()
    order = torch.randperm(len(images)).to(device)
    for batch in order.split(options.batch_size):
        batch_images = images[batch].to(torch.float32).mul_(1 / 255)
        batch_images = batch_images.contiguous(memory_format=torch.channels_last)
        with lower_precision:
            logits = model(batch_images)
        loss = nn.functional.cross_entropy(logits.float(), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    # Waits for the GPU, where there is one.
    loss.item()
    epoch_seconds = time.perf_counter() - epoch_start
    with torch.inference_mode(), lower_precision:
        given = torch.cat(
            [
                model(part.to(torch.float32).mul_(1 / 255)).argmax(dim=1)
                for part in test_images.split(500)
            ]
        ).numpy(force=True)
    return epoch_seconds, time.perf_counter() - start, given


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="as .npz")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--bfloat16", action="store_true", help="autocast")
    parser.add_argument("--threads", type=int, help="default: PyTorch's choice")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def as_tensor(images):
        tensor = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        return tensor.contiguous(memory_format=torch.channels_last)

    with np.load(options.data) as data:
        images, test_images = as_tensor(data["x_train"]), as_tensor(data["x_test"])
        labels = torch.from_numpy(data["y_train"].astype(np.int64)).to(device)
        test_labels = data["y_test"]
    few = slice(WARM_UP_STEPS * options.batch_size)
    train(images[few], labels[few], test_images, options, seed=0)
    epoch_seconds, seconds, given = train(images, labels, test_images, options, seed=1)
    print(
        json.dumps(
            {
                "images_per_second": len(images) / epoch_seconds,
                "overhead_seconds": seconds - epoch_seconds,
                "accuracy": float((given == test_labels).mean()),
            }
        )
    )


if __name__ == "__main__":
    main()
