"""The image side of the camera branch: any timm feature backbone and a feature pyramid.

The only file that imports timm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.networks.layers import conv_block, to_channels_last


class ImageBackbone(nn.Module):
    """A timm model cut into feature maps, always channels-first. Starts from random weights; nothing is downloaded.

    Args:
        name: timm model name, e.g. swin_tiny_patch4_window7_224.
        options: constructor arguments of the model (embed_dim, depths, window_size ...). Models built for one image
            size get `img_size` from `image_size` unless it is named here.
        out_indices: feature levels, fine to coarse.
        image_size: (height, width) of the input, pixels.

    Attributes:
        channels: channels of each level.
        strides: input pixels per cell of each level.

    Raises:
        UserError: timm does not know the name, or the model does not take an option.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, list[int] | int | float | bool | str],
        out_indices: Sequence[int],
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        arguments: dict[str, Any] = dict(options)
        defaults = timm.get_pretrained_cfg(name)
        if defaults is not None and defaults.fixed_input_size:
            arguments.setdefault("img_size", image_size)
        try:
            self.model = timm.create_model(
                name, pretrained=False, features_only=True, out_indices=tuple(out_indices), **arguments
            )
        except (TypeError, RuntimeError) as error:
            raise UserError(
                f"timm cannot build {name} with {arguments}: {error}",
                where="params.yaml: networks.camera.backbone, backbone_options",
                remedy="take a name of timm.list_models() and options of its constructor; those of scale=embedded are "
                "Swin's: another backbone wants an edit of conf/scale/embedded.yaml, then `calico configure`",
            ) from error
        information: Any = self.model.feature_info
        self.channels: list[int] = list(information.channels())
        self.strides: list[int] = list(information.reduction())
        self.channels_last = str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, images: Tensor) -> list[Tensor]:
        """[M, 3, H, W] to one [M, channels, H / stride, W / stride] per level."""
        maps: list[Tensor] = self.model(images)
        return [level.permute(0, 3, 1, 2) for level in maps] if self.channels_last else list(maps)


class ImageNeck(nn.Module):
    """Feature pyramid (Lin et al., arXiv 1612.03144) that keeps only its finest level.

    Args:
        inputs: channels of the levels, fine to coarse.
        outputs: channels of the result.
    """

    def __init__(self, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(conv_block(channels, outputs, kernel=1) for channels in inputs)
        self.smooth = conv_block(outputs, outputs)
        to_channels_last(self)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Levels fine to coarse to one map of the finest level's size."""
        laterals = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        merged = laterals[-1]
        for lateral in reversed(laterals[:-1]):
            merged = lateral + functional.interpolate(merged, size=lateral.shape[-2:], mode="nearest")
        result: Tensor = self.smooth(merged)
        return result
