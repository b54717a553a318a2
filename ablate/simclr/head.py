"""The projection head g: h -> z (section 4.2), with the batch norms of the authors' first release."""

from torch import Tensor, nn

from ablate.simclr import config


class ProjectionHead(nn.Module):
    """Dense layers without bias, ReLU between; (B, inputs) -> (B, `dimension`).

    With batch norm it follows every dense layer, and the last one has no shift (beta).
    """

    def __init__(self, settings: config.Head, inputs: int) -> None:
        super().__init__()
        hidden = {"none": 0, "linear": 0, "nonlinear": settings.hidden_layers}[settings.name]
        self.dimension = inputs if settings.name == "none" else settings.output_dimension
        self.hidden = nn.Sequential()
        for _ in range(hidden):
            self.hidden.extend([*_dense(inputs, inputs, settings.batch_norm, shift=True), nn.ReLU(inplace=True)])
        last = [] if settings.name == "none" else _dense(inputs, self.dimension, settings.batch_norm, shift=False)
        self.last = nn.Sequential(*last)

    def forward(self, h: Tensor) -> Tensor:
        """Compute z."""
        z: Tensor = self.last(self.hidden(h))
        return z


def _dense(inputs: int, outputs: int, batch_norm: bool, shift: bool) -> list[nn.Module]:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=0.01)
    if not batch_norm:
        return [linear]
    norm = nn.BatchNorm1d(outputs)
    norm.bias.requires_grad_(shift)  # it starts at zero and stays there
    return [linear, norm]
