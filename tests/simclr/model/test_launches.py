import copy

import pytest
import torch

from ablate.simclr.config import Config
from ablate.simclr.model import Model
from ablate.simclr.model.launches import in_few_kernels


def test_weights_cast_at_once_give_the_bits_of_autocast_forward_and_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, where autocast is told to be that of a GPU."""
    config = Config.model_validate({"encoder": {"name": "resnet8", "stem": "strided"}, "precision": "bfloat16"})
    plain = Model(config, 10)
    few, images = copy.deepcopy(plain), torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    enabled = torch.is_autocast_enabled
    for step in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            wanted = plain.head(plain.encoder(images))
            with monkeypatch.context() as patch:
                patch.setattr(torch, "is_autocast_enabled", lambda kind: enabled("cpu"))
                with in_few_kernels(few.parts(), torch.device("cuda")):
                    found = few.head(few.encoder(images))
        assert torch.equal(found, wanted)
        wanted.float().square().mean().backward()
        found.float().square().mean().backward()
        for (name, ours), theirs in zip(few.named_parameters(), plain.parameters(), strict=True):
            assert (ours.grad is None and theirs.grad is None) or torch.equal(ours.grad, theirs.grad), name
        ours, theirs = few.state_dict(), plain.state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert ours["encoder.bn1.num_batches_tracked"] == step + 1
