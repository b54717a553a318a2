"""Settings of what is minimised, and how."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.config.base import NotNegative, Positive, Probability, Settings


class Loss(Settings):
    """The contrastive loss (Eq. 1, Table 2)."""

    name: Literal["nt_xent", "nt_logistic", "margin"] = "nt_xent"
    """Normalized temperature-scaled cross entropy; logistic; margin triplet."""
    temperature: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """tau of Eq. 1; unused by `margin`."""
    margin: Annotated[float, Field(ge=0, le=2)] = 0.4
    """m of the margin triplet loss; the paper tunes it in {0, 0.4, 0.8, 1.6} (App. B.10)."""
    semi_hard: bool = False
    """Of each anchor's negatives only the nearest one that is farther than the positive (section 5.1)."""
    normalize: bool = True
    """Divide z by its length, so that similarity is the cosine (Table 5)."""
    negatives: Literal["both", "one"] = "both"
    """Negatives of an anchor: the other images in both views, or in the other view only, as in Table 2."""
    scale: Positive = 2.0
    """The loss that is minimised is so many times Eq. 1: the authors' code adds the means over both views.

    LARS and AdamW do not feel it where they normalise; batch norm's parameters under LARS do."""

    @model_validator(mode="after")
    def _semi_hard_fits(self) -> Self:
        if self.semi_hard and self.name == "nt_xent":
            raise ValueError("semi_hard = true needs loss.name = 'nt_logistic' or 'margin'")
        return self


class Optimizer(Settings):
    """LARS as in the authors' first release; SGD; or AdamW for small batches."""

    name: Literal["lars", "sgd", "adamw"] = "lars"
    """`sgd` has Nesterov's momentum."""
    learning_rate: Positive = 0.3
    """Before scaling."""
    scaling: Literal["none", "linear", "sqrt"] = "linear"
    """The peak rate is learning_rate times 1, batch_size / 256, or the root of batch_size (App. B.1)."""
    momentum: Probability = 0.9
    """Of LARS and SGD; AdamW has its usual 0.9 and 0.999."""
    weight_decay: NotNegative = 1e-6
    """None for biases and batch norm's parameters, with any optimizer."""
