import numpy as np
import pytest
import torch
from scipy.stats import truncnorm
from torch import nn

from ablate.simclr import config
from ablate.simclr.base.vision import torchvision
from ablate.simclr.model.encoder import ResNet, make_encoder, set_batch_norm_statistics


def encoder(name: str, **settings: object) -> ResNet:
    return ResNet(config.Encoder.model_validate({"name": name, **settings}))


PROJECTION = "layer1.0.downsample."
"""What ResNet-18 and -34 of the authors' code have (use_projection=True in every group) and torchvision's do not."""


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_at_width_1_it_has_torchvisions_parameters_by_name_and_shape_without_the_classifier(name: str) -> None:
    theirs = getattr(torchvision.models, name)().state_dict()
    shapes = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    ours = {key: value.shape for key, value in encoder(name).state_dict().items()}
    more = {key: ours.pop(key) for key in ours.keys() - shapes.keys()}
    assert ours == shapes
    assert {key.removeprefix(PROJECTION) for key in more} == (
        {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
        if name in ("resnet18", "resnet34")
        else set()
    )


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_with_torchvisions_weights_it_computes_what_torchvision_computes(name: str) -> None:
    theirs = getattr(torchvision.models, name)()
    theirs.fc = nn.Identity()
    ours = encoder(name)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith(PROJECTION) for key in missing)
    if missing:
        ours.layer1[0].downsample = None  # torchvision's has none there
    ours, theirs = ours.double(), theirs.double()
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-5, atol=1e-5)


def test_the_first_block_of_resnet18_adds_a_projection_of_its_input_written_out_in_numpy() -> None:
    block = encoder("resnet18").layer1[0].double().eval()
    for value in block.state_dict().values():
        if value.dtype == torch.float64:
            value.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    x = torch.rand(1, 64, 5, 5, dtype=torch.float64)
    weights = {key: value.numpy() for key, value in block.state_dict().items()}

    def normalised(values: np.ndarray, norm: str) -> np.ndarray:
        scale, shift, mean, variance = (
            weights[f"{norm}.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (values - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        radius, (rows, columns) = kernel.shape[-1] // 2, values.shape[1:]
        padded = np.pad(values, ((0, 0), (radius, radius), (radius, radius)))
        taps = [(i, j) for i in range(kernel.shape[2]) for j in range(kernel.shape[3])]
        parts = [np.tensordot(kernel[:, :, i, j], padded[:, i : i + rows, j : j + columns], 1) for i, j in taps]
        return np.sum(parts, axis=0)

    hidden = np.maximum(normalised(convolved(x[0].numpy(), weights["conv1.weight"]), "bn1"), 0)
    output = normalised(convolved(hidden, weights["conv2.weight"]), "bn2")
    shortcut = normalised(convolved(x[0].numpy(), weights["downsample.0.weight"]), "downsample.1")
    with torch.no_grad():
        np.testing.assert_allclose(block(x)[0].numpy(), np.maximum(output + shortcut, 0), rtol=1e-10)


@pytest.mark.parametrize(("width", "millions"), [(1, 23.5), (2, 93.9)])
def test_resnet50_has_the_parameters_that_the_paper_counts(width: int, millions: float) -> None:
    count = sum(parameter.numel() for parameter in encoder("resnet50", width_multiplier=width).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.1)  # Table 6 says 24 M and 94 M


@pytest.mark.parametrize(
    ("name", "width", "dimension"),
    [("resnet8", 1, 64), ("resnet8", 2, 128), ("resnet8", 4, 256), ("resnet18", 1, 512), ("resnet50", 2, 4096)],
)
def test_the_length_of_h_grows_with_the_width(name: str, width: int, dimension: int) -> None:
    assert encoder(name, width_multiplier=width).dimension == dimension


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 8), ("cifar", 32), ("strided", 16)])
def test_a_stem_leaves_this_side_of_a_32_pixel_image(stem: str, side: int) -> None:
    network, seen = encoder("resnet8", stem=stem), []
    network.layer1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[-1]))
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 64)
    assert seen == [side]


@pytest.mark.parametrize(("name", "norm"), [("resnet8", "bn2"), ("resnet18", "bn2"), ("resnet50", "bn3")])
def test_the_last_batch_norm_of_every_block_starts_at_zero(name: str, norm: str) -> None:
    scales = [p for key, p in encoder(name).named_parameters() if key.endswith(f"{norm}.weight")]
    assert scales
    assert all(scale.abs().sum() == 0 for scale in scales)


def test_resnet8_has_the_parameters_counted_by_hand_from_its_three_stages() -> None:
    stem = 3 * 16 * 9 + 2 * 16
    first = 2 * (16 * 16 * 9 + 2 * 16)
    second = 16 * 32 * 9 + 32 * 32 * 9 + 2 * 2 * 32 + (16 * 32 + 2 * 32)
    third = 32 * 64 * 9 + 64 * 64 * 9 + 2 * 2 * 64 + (32 * 64 + 2 * 64)
    count = sum(parameter.numel() for parameter in encoder("resnet8", stem="cifar").parameters())
    assert count == stem + first + second + third == 77392


def test_every_block_of_a_fresh_network_passes_its_shortcut_on() -> None:
    """With the last scale at zero and no projection, a block is the ReLU of its input."""
    block = encoder("resnet18").layer1[1]
    x = torch.rand(2, 64, 8, 8)
    assert torch.equal(block(x), x)


def test_kernels_start_with_a_truncated_normal_of_variance_one_over_their_fan_in() -> None:
    for name, kernel in encoder("resnet18").named_parameters():
        if kernel.ndim == 4:
            deviation = kernel[0].numel() ** -0.5
            assert kernel.std().item() == pytest.approx(deviation, rel=0.05), name
            assert kernel.abs().max() <= 2 * deviation / truncnorm(-2, 2).std()


def test_setting_the_statistics_leaves_the_momentum_of_training_as_it_was() -> None:
    network = encoder("resnet8")
    before = [norm.momentum for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)]
    set_batch_norm_statistics(network, [torch.rand(4, 3, 16, 16)])
    assert [norm.momentum for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)] == before
    assert before[0] == 0.1  # the paper's 0.9 is the share that is kept


@pytest.mark.parametrize("width", [2, 4])
def test_a_wider_network_has_that_many_times_the_channels_everywhere(width: int) -> None:
    with torch.device("meta"):
        narrow, wide = encoder("resnet50"), encoder("resnet50", width_multiplier=width)
    assert wide.dimension == width * 2048
    for (name, thin), thick in zip(narrow.named_parameters(), wide.parameters(), strict=True):
        factors = [width] if name.startswith(("bn", "conv1")) or thin.ndim == 1 else [width, width]
        grown = [side * factor for side, factor in zip(thin.shape, [*factors, 1, 1, 1], strict=False)]
        assert list(thick.shape) == grown, name


@pytest.mark.parametrize(
    ("name", "dimension"),
    [("mobilenet_v3_small", 1024), ("squeezenet", None), ("squeezenet1_1", None), ("vgg11", 4096)],
)
def test_a_torchvision_network_comes_without_its_last_layer(name: str, dimension: int | None) -> None:
    settings = config.Encoder(name="torchvision", torchvision=name)
    if dimension is None:
        told = r"no 'squeezenet'; did you mean 'squeezenet1_[01]'|'squeezenet1_1' has no final linear layer to remove"
        with pytest.raises(ValueError, match=told):
            make_encoder(settings)
        return
    network = make_encoder(settings).eval()
    assert network.dimension == dimension
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, dimension)
