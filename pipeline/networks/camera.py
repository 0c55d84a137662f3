"""The camera branch: images to a BEV feature map."""

from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.image import ImageBackbone, ImageNeck
from pipeline.networks.layers import conv_block, to_channels_last
from pipeline.networks.lift_splat import LiftSplat
from pipeline.params import CameraNetwork


class CameraBranch(nn.Module):
    """timm backbone, feature pyramid, lift-splat and two BEV convolutions that close the gaps between rays.

    The splat may use a finer grid than the result; the first convolution then strides over it.

    Args:
        network: sizes and the backbone's name.
        grid: BEV grid of the output map.
        image_size: (height, width) of the input, pixels.

    Attributes:
        out_channels: channels of the output map.
        out_grid: `grid`.
    """

    def __init__(self, network: CameraNetwork, grid: BevGrid, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = ImageBackbone(network.backbone, network.backbone_options, network.out_indices, image_size)
        self.neck = ImageNeck(self.backbone.channels, network.neck_channels)
        stride = self.backbone.strides[0]
        if image_size[0] % stride or image_size[1] % stride:
            raise ValueError(f"an image of {image_size} pixels cannot be divided by the backbone's stride {stride}")
        self.view = LiftSplat(
            network.neck_channels,
            network.context_channels,
            (network.depth_min, network.depth_max, network.depth_step),
            (image_size[0] // stride, image_size[1] // stride),
            image_size,
            BevGrid(grid.reach, grid.cell / network.splat_stride),
        )
        channels = network.context_channels
        self.bev = nn.Sequential(
            conv_block(channels, channels, stride=network.splat_stride), conv_block(channels, channels)
        )
        to_channels_last(self)
        self.out_channels, self.out_grid = network.context_channels, grid

    def forward(self, images: Tensor, bev_from_image: Tensor, camera_present: Tensor) -> Tensor:
        """The map of `encode`, [B, out_channels, S, S] on `out_grid`; arguments as there."""
        return self.encode(images, bev_from_image, camera_present)[0]

    def encode(self, images: Tensor, bev_from_image: Tensor, camera_present: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes a batch of camera rigs.

        Args:
            images: [B, 6, 3, H, W], normalised.
            bev_from_image: float32 [B, 6, 4, 4], (u d, v d, d, 1) in augmented pixels to the BEV frame.
            camera_present: bool [B, 6], M of them true; the images of absent cameras are not looked at, and splat
                nothing.

        Returns:
            bev: [B, out_channels, S, S] on `out_grid`.
            logits: float32 [M, h, w, D] of the depth distributions, image by image as in `camera_present`.
        """
        frames = len(images)
        frame = camera_present.nonzero()[:, 0]
        if len(frame):
            features = self.neck(self.backbone(images[camera_present]))
            bev, logits = self.view(features, bev_from_image[camera_present], frame, frames)
        else:  # a backbone cannot run on no image at all
            size = self.view.grid.size
            bev = images.new_zeros(frames, self.out_channels, size, size)
            logits = images.new_zeros(0, *self.view.pixels.shape[:2], len(self.view.depths))
        result: Tensor = self.bev(bev)
        return result, logits
