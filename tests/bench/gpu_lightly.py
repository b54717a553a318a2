"""lightly's SimCLR loop on one GPU, as its examples have it, with 12 loader processes and bfloat16."""

import os
import time

import torch

from ablate.simclr import config
from ablate.simclr.base.vision import torchvision
from ablate.simclr.model.encoder import ResNet


def pairs_per_second(root: str, device: torch.device, network: str, batch_size: int, steps: int, warm_up: int) -> float:
    """Of ResNet-18 with the CIFAR stem at batch 512 on CIFAR-10 as an image folder."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    transform = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0)
    loader = torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(f"{root}/train", transform),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=min(12, len(os.sched_getaffinity(0))),
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    encoder = ResNet(config.Encoder(name=network, stem="cifar"))
    model = torch.nn.Sequential(encoder, SimCLRProjectionHead(encoder.dimension, encoder.dimension, 128)).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    criterion = NTXentLoss(temperature=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9)
    done = 0
    while True:
        for (first, second), _ in loader:
            if done == warm_up:
                _wait(device)
                began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16):
                z = [model(view.to(device, non_blocking=True)) for view in (first, second)]
            loss = criterion(z[0].float(), z[1].float())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += 1
            if done == warm_up + steps:
                _wait(device)
                return steps * batch_size / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
