"""Settings of the encoder and of the projection head."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.config.base import Settings


class Encoder(Settings):
    """The network f whose output h is evaluated (section 2.1)."""

    name: Literal["resnet8", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "torchvision"] = "resnet50"
    """`resnet8` has three stages of one basic block, 16, 32 and 64 channels (He et al. 2016, 4.2, n = 1)."""
    torchvision: str | None = None
    """Which of torchvision's classifiers, where `name` is torchvision; its last layer is left out."""
    width_multiplier: Literal[1, 2, 4] = 1
    """All channel counts times this; of the resnets here only."""
    stem: Literal["imagenet", "cifar", "strided"] = "imagenet"
    """7x7 of stride 2 and max-pool; 3x3 of stride 1 without pool (App. B.9); 3x3 of stride 2 without."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.name == "torchvision") != (self.torchvision is not None):
            raise ValueError("torchvision says which network, and is needed where encoder.name = 'torchvision' only")
        return self


class Head(Settings):
    """The projection head g that maps h to z (section 4.2)."""

    name: Literal["none", "linear", "nonlinear"] = "nonlinear"
    """z = h; one dense layer; or dense layers with ReLU between, the hidden ones as wide as h."""
    hidden_layers: Literal[1, 2] = 1
    """Of `nonlinear`: 1 in the paper, 2 in the authors' later releases."""
    output_dimension: Annotated[int, Field(ge=2, le=8192)] = 128
    """Length of z; unused by `none`."""
    batch_norm: bool = True
    """After every dense layer, the last without shift, as in the authors' code; the paper's formula has none."""
