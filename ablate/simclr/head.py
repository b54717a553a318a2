"""The projection head g: h -> z (section 4.2), with the batch norms of the authors' first release."""

from torch import nn

from ablate.simclr import config


def projection_head(settings: config.Head, dimension: int) -> nn.Module:
    """G for representations of length `dimension`: (B, dimension) -> (B, output_dimension).

    Dense layers have no bias and are followed by batch norm; the last batch norm has no shift (beta).
    """
    if settings.name == "none":
        return nn.Identity()
    if settings.name == "linear":
        return nn.Sequential(*_dense(dimension, settings.output_dimension, shift=False))
    hidden = (*_dense(dimension, dimension, shift=True), nn.ReLU(inplace=True))
    return nn.Sequential(*hidden, *_dense(dimension, settings.output_dimension, shift=False))


def _dense(inputs: int, outputs: int, shift: bool) -> tuple[nn.Linear, nn.BatchNorm1d]:
    linear, norm = nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs)
    nn.init.normal_(linear.weight, std=0.01)
    norm.bias.requires_grad_(shift)  # it starts at zero and stays there
    return linear, norm
