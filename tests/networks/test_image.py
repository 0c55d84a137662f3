"""Image backbones by timm name, and the neck."""

import pytest
import torch

from pipeline.errors import UserError
from pipeline.networks.image import ImageBackbone, ImageNeck

SWIN: dict[str, list[int] | int] = {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 2], "window_size": [4, 4]}


@pytest.mark.parametrize(
    ("name", "options", "levels"),
    [
        ("swin_tiny_patch4_window7_224", SWIN, [1, 2]),
        ("resnet18", {}, [2, 3]),
        ("convnext_atto", {}, [1, 2]),
        ("convnext_femto", {}, [1, 2]),
        ("mobilenetv3_small_050", {}, [2, 3]),
        ("pvt_v2_b0", {}, [1, 2]),
    ],
)
def test_levels_are_channels_first(name: str, options: dict[str, list[int] | int], levels: list[int]) -> None:
    backbone = ImageBackbone(name, options, levels, (64, 96))
    maps = backbone(torch.randn(2, 3, 64, 96))
    assert backbone.strides == [8, 16]
    assert [tuple(level.shape) for level in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    merged = ImageNeck(backbone.channels, 12)(maps)
    assert merged.shape == (2, 12, 8, 12)


def test_a_pixel_stays_at_its_place() -> None:
    """A channels-last map read channels-first would move rows to columns."""
    torch.manual_seed(0)
    backbone = ImageBackbone("swin_tiny_patch4_window7_224", SWIN, [1, 2], (64, 96)).eval()
    image = torch.zeros(1, 3, 64, 96)
    with torch.no_grad():
        quiet = backbone(image)[0]
        image[..., 8:16, 80:88] = 5.0  # the stride-8 cell at row 1, column 10
        change = (backbone(image)[0] - quiet).abs().sum(1)[0]
    assert divmod(int(change.argmax()), change.shape[1]) == (1, 10)


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(UserError, match="no_such_model"):
        ImageBackbone("no_such_model", {}, [1], (64, 96))
    with pytest.raises(UserError, match="window_size") as told:
        ImageBackbone("resnet18", {"window_size": 4}, [1], (64, 96))
    assert "embedded.yaml" in told.value.remedy
