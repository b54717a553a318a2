"""Linear evaluation: a linear classifier on frozen representations h (App. B.6)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.config import Config
from ablate.simclr.context import Context, Interrupted
from ablate.simclr.data.images import Dataset
from ablate.simclr.precision import computes_bfloat16
from ablate.simclr.pretrain import as_input
from ablate.simclr.randomness import generator
from ablate.simclr.schedule import learning_rate


def evaluate_linear(config: Config, encoder: nn.Module, data: Dataset, context: Context) -> dict[str, float]:
    """Top-1 accuracy in percent, on the test images, of a classifier trained on the training images."""
    train, test = (features(config, encoder, split.images) for split in (data.train, data.test))
    weight, bias = fit_linear(config, train, data.train.labels, data.classes, context)
    metrics = {
        "top1": _top1(F.linear(test, weight, bias), data.test.labels),
        "train_top1": _top1(F.linear(train, weight, bias), data.train.labels),
    }
    context.log({"phase": "linear", "epoch": config.evaluate.epochs, **metrics})
    return metrics


def _top1(logits: Tensor, labels: Tensor) -> float:
    return 100 * int((logits.argmax(1) == labels).sum()) / len(labels)


@torch.no_grad()
def features(config: Config, encoder: nn.Module, images: Tensor) -> Tensor:
    """H of unaugmented uint8 images (N, 3, H, W) with batch norm's running statistics: float32 (N, d)."""
    encoder.eval()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=computes_bfloat16(config.precision, images.device)):
        return torch.cat([encoder(as_input(chunk)).float() for chunk in images.split(500)])


def fit_linear(config: Config, inputs: Tensor, labels: Tensor, classes: int, context: Context) -> tuple[Tensor, Tensor]:
    """Weight (classes, d) and bias (classes,) of a multinomial logistic regression on inputs (N, d)."""
    settings = config.evaluate
    weight = torch.zeros(classes, inputs.shape[1], device=inputs.device, requires_grad=True)
    bias = torch.zeros(classes, device=inputs.device, requires_grad=True)
    optimizer = torch.optim.SGD([weight, bias], lr=0.0, momentum=0.9, nesterov=True)
    steps_per_epoch = -(-len(inputs) // settings.batch_size)
    steps, peak = settings.epochs * steps_per_epoch, settings.learning_rate * settings.batch_size / 256
    step = 0
    for epoch in range(settings.epochs):
        if context.stopping():
            raise Interrupted
        order = generator(config.seed, "classifier", epoch).permutation(len(inputs))
        for chosen in torch.from_numpy(order).to(inputs.device).split(settings.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, 0, peak)
            loss = F.cross_entropy(F.linear(inputs[chosen], weight, bias), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
    return weight.detach(), bias.detach()
