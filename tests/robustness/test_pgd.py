"""PGD stays within its budget, climbs the loss of trained models, and beats noise as large."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.evaluation.map_segmentation import map_metrics
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.images import DEVIATION, MEAN
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.networks.model import BevModel
from pipeline.robustness.pgd import Attacked, attack_images, attack_points, task_losses
from pipeline.robustness.pgd_scores import predict_under_pgd
from tests.robustness.attack_cases import pgd_params
from tests.small_heads import SIX_GROUPS, small_heads
from tests.small_networks import small_frames, small_networks

TASKS = ("detection", "map")
CPU = torch.device("cpu")
NETWORKS = replace(small_networks(), heads=small_heads(map_reach=12.8, map_cell=0.8))
SCALE, SHIFT = torch.from_numpy(255 * DEVIATION).view(3, 1, 1), torch.from_numpy(255 * MEAN).view(3, 1, 1)


@pytest.fixture(scope="module")
def loader(attacked_world: tuple[FrameIndex, Labels]) -> FrameLoader:
    index, labels = attacked_world
    return FrameLoader(
        index, small_frames(), NETWORKS.grid, labels=labels, map_grid=NETWORKS.heads.map_grid, images=True
    )


@pytest.fixture(scope="module")
def frames(loader: FrameLoader) -> FrameBatch:
    """Two frames; the second has lost a camera."""
    batch = loader.load([0, 4])
    assert batch.camera_present is not None
    assert batch.images is not None
    present, images = batch.camera_present.clone(), batch.images.clone()
    present[1, 2], images[1, 2] = False, 0
    return replace(batch, camera_present=present, images=images)


def untrained(modality: str, task: str, **lidar: object) -> BevModel:
    torch.manual_seed(0)
    networks = replace(NETWORKS, lidar=replace(NETWORKS.lidar, **lidar))  # type: ignore[arg-type]
    return BevModel(networks, small_frames(), modality, task).eval()


def calibrated(model: BevModel, frames: FrameBatch) -> BevModel:
    """With running statistics of these frames: before, signals and gradients die away from layer to layer."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(frames)
    return model.eval()


@pytest.fixture(scope="module")
def trained(frames: FrameBatch) -> Callable[[str], BevModel]:
    """LC models that know these two frames; LiDAR is gone half of the time, so that they look at the cameras too."""
    made: dict[str, BevModel] = {}

    def train(task: str) -> BevModel:
        if task not in made:
            model = untrained("LC", task).train()
            optimizer = torch.optim.AdamW(model.parameters(), 0.005)
            for step in range(60):
                seen = replace(frames, points=frames.points + torch.tensor([0, 0, 50.0 * (step % 2), 0, 0]))
                optimizer.zero_grad()
                task_losses(model, seen).sum().backward()
                optimizer.step()
            made[task] = model.eval()
        return made[task]

    return train


def pixels(batch: FrameBatch) -> Tensor:
    assert batch.images is not None
    return batch.images * SCALE + SHIFT


def shift(attacked: Attacked, batch: FrameBatch) -> Tensor:
    return attacked.batch.points[:, :3] - batch.points[:, :3]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("modality", ["L", "LC"])
@pytest.mark.parametrize(
    "encoder", [{}, {"max_points_per_pillar": 5}, {"encoder": "voxels"}], ids=["pillars", "capped", "voxels"]
)
def test_gradient_flows_to_every_sensor(
    frames: FrameBatch, task: str, modality: str, encoder: dict[str, object]
) -> None:
    """The loss rises by what the gradient predicts, and no parameter gathers any."""
    if "encoder" in encoder:
        pytest.importorskip("spconv")
    model = calibrated(untrained(modality, task, **encoder), frames)
    points = frames.points.clone().requires_grad_()
    assert frames.images is not None
    images = frames.images.clone().requires_grad_()
    loss = task_losses(model, replace(frames, points=points, images=images)).sum()
    inputs = {"points": points, "images": images} if modality == "LC" else {"points": points}
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    assert all(parameter.grad is None for parameter in model.parameters())
    cells = torch.stack([frames.points[:, 0] / 0.4, frames.points[:, 1] / 0.4, (frames.points[:, 2] + 5) / 0.25], 1)
    amid = ((cells.remainder(1) - 0.5).abs() < 0.48).all(1)  # a point that changes its cell is beyond any gradient
    for (name, given), gradient in zip(inputs.items(), gradients, strict=True):
        direction = gradient.clone()
        if name == "points":
            assert (gradient[:, :3].norm(dim=1) > 0).float().mean() > (
                0.2 if "max_points_per_pillar" in encoder else 0.5
            )
            direction[:, 3:] = 0
            direction[~amid] = 0
        change = direction * (0.004 / direction.abs().max())
        with torch.no_grad():
            changed = replace(frames, **{name: given + change})  # type: ignore[arg-type]
            risen = task_losses(model, changed).sum() - loss
        predicted = (gradient * change).sum()
        assert 0.7 < float(risen / predicted) < 1.3, (name, float(risen), float(predicted))


@pytest.mark.parametrize("budget", [0.05, 0.2])
def test_points_stay_within_their_balls(frames: FrameBatch, trained: Callable[[str], BevModel], budget: float) -> None:
    attacked = attack_points(trained("map"), frames, task_losses, pgd_params(), budget, seed=1)
    distance = shift(attacked, frames).double().norm(dim=1)
    assert distance.max() <= budget + 4e-6  # float32 of positions up to 13 m
    assert distance.median() > 0.9 * budget  # the budget is spent
    torch.testing.assert_close(attacked.batch.points[:, 3:], frames.points[:, 3:], rtol=0, atol=0)
    assert attacked.batch.images is frames.images
    assert attacked.batch.offsets is frames.offsets


@pytest.mark.parametrize("budget", [1, 2, 8])
def test_pixels_stay_whole_and_within_the_budget(
    frames: FrameBatch, trained: Callable[[str], BevModel], budget: int
) -> None:
    attacked = attack_images(trained("map"), frames, task_losses, pgd_params(steps=4), budget, seed=1)
    before, after = pixels(frames), pixels(attacked.batch)
    assert frames.camera_present is not None
    seen = frames.camera_present
    assert (before[seen] - before[seen].round()).abs().max() < 1e-3  # the network's input is of whole numbers
    assert (after[seen] - after[seen].round()).abs().max() < 1e-3
    after = after.round()
    assert after[seen].min() >= 0
    assert after[seen].max() <= 255
    change = (after - before.round())[seen].abs()
    assert change.max() == budget
    assert change.mean() > budget / 2
    assert attacked.batch.images is not None
    assert (attacked.batch.images[~seen] == 0).all()  # an absent camera stays absent
    assert attacked.batch.points is frames.points


def test_images_at_the_ends_of_the_range_are_not_left(frames: FrameBatch) -> None:
    images = (
        (torch.randint(0, 2, (2, 6, 3, 32, 64), generator=torch.Generator().manual_seed(0)) * 255) - SHIFT
    ) / SCALE
    assert frames.camera_present is not None
    batch = replace(frames, images=images, camera_present=torch.ones_like(frames.camera_present))
    after = pixels(attack_images(untrained("LC", "map"), batch, task_losses, pgd_params(steps=2), 8, seed=0).batch)
    assert after.min() > -1e-3
    assert after.max() < 255 + 1e-3
    assert ((after > 0.5) & (after < 254.5)).any()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sensor", ["points", "images"])
def test_loss_rises_and_beats_noise(
    frames: FrameBatch, trained: Callable[[str], BevModel], task: str, sensor: str
) -> None:
    model, own = trained(task), pgd_params(steps=8)
    if sensor == "points":
        attacked = attack_points(model, frames, task_losses, own, 0.2, seed=0)
        noise = torch.nn.functional.normalize(torch.randn(len(frames.points), 3), dim=1) * 0.2
        noisy = replace(frames, points=frames.points + torch.nn.functional.pad(noise, (0, 2)))
    else:
        attacked = attack_images(model, frames, task_losses, own, 8, seed=0)
        assert frames.images is not None
        noisy = replace(frames, images=frames.images + 8 * torch.randn_like(frames.images).sign() / SCALE)
    path = attacked.path.mean(1)
    assert (path.diff() > 0).float().mean() >= 0.75, path  # steps that fell: crossing a cell's border has no gradient
    assert path[-1] > path[len(path) // 2] > path[0]
    with torch.no_grad():
        noise_losses, reached = task_losses(model, noisy), task_losses(model, attacked.batch)
    torch.testing.assert_close(reached, attacked.reached)
    torch.testing.assert_close(attacked.reached, attacked.path.max(0).values)
    torch.testing.assert_close(attacked.clean, task_losses(model, frames).detach())
    assert (attacked.reached > noise_losses).all()
    assert attacked.reached.mean() - attacked.clean.mean() > 2 * (noise_losses - attacked.clean).mean().clamp(min=0)


@pytest.mark.parametrize("sensor", ["points", "images"])
def test_frames_of_a_batch_do_not_mix(
    frames: FrameBatch, loader: FrameLoader, trained: Callable[[str], BevModel], sensor: str
) -> None:
    model, own = trained("detection"), pgd_params(steps=1)
    whole, alone = loader.load([0, 4]), loader.load([4])
    if sensor == "points":
        together = attack_points(model, whole, task_losses, own, 0.1, seed=2)
        single = attack_points(model, alone, task_losses, own, 0.1, seed=2)
        other = attack_points(model, alone, task_losses, own, 0.1, seed=3)
        part = together.batch.points[whole.offsets[1] :]
        # A gradient near zero may turn with the last bits of sums.
        assert ((part - single.batch.points).abs().max(1).values < 1e-5).float().mean() > 0.98
        assert not torch.equal(single.batch.points, other.batch.points)
    else:
        together = attack_images(model, whole, task_losses, own, 4, seed=2)
        single = attack_images(model, alone, task_losses, own, 4, seed=2)
        assert ((pixels(together.batch)[1] - pixels(single.batch)[0]).abs() < 0.5).float().mean() > 0.98
    torch.testing.assert_close(together.reached[1:], single.reached, rtol=1e-3, atol=1e-3)


def test_points_off_the_grid_and_empty_frames(frames: FrameBatch, trained: Callable[[str], BevModel]) -> None:
    """What the encoder leaves out has no gradient: it keeps its random start. A frame without points is left alone."""
    beyond = frames.points.clone()
    beyond[::2, 0] += 100
    batch = replace(frames, points=beyond, offsets=torch.tensor([0, len(beyond), len(beyond)]))
    first, last = (
        shift(attack_points(trained("map"), batch, task_losses, pgd_params(steps=steps), 0.2, seed=0), batch)
        for steps in (1, 4)
    )
    assert torch.isfinite(last).all()
    assert torch.equal(first[::2], last[::2])
    assert (first[1::2] != last[1::2]).any(1).float().mean() > 0.5


def test_a_model_in_training_is_refused(frames: FrameBatch) -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        attack_points(untrained("L", "map").train(), frames, task_losses, pgd_params(), 0.2, seed=0)
    with pytest.raises(ValueError, match="no image"):
        attack_images(untrained("L", "map"), replace(frames, images=None), task_losses, pgd_params(), 2, seed=0)


def test_predictions_under_attack(
    attacked_world: tuple[FrameIndex, Labels], loader: FrameLoader, trained: Callable[[str], BevModel]
) -> None:
    """The IoU of frames that the model knows falls; loss and boxes belong to the attacked frames."""
    index, _ = attacked_world
    own = pgd_params(steps=6, points=[1, 200])
    thresholds = [0.35, 0.5, 0.65]
    scores = []
    for budget in own.points:
        outcome = predict_under_pgd(
            trained("map"), loader, [0, 4], own, "points", budget, seed=0, batch=1, device=CPU, thresholds=thresholds
        )
        assert set(outcome.scenes) == {index[0].scene, index[4].scene}
        assert len(outcome.losses) == own.steps + 2
        assert outcome.loss >= outcome.losses[1:].max() - 1e-6
        scores.append(map_metrics(outcome.scenes, thresholds)["mIoU_at_half"])
    assert scores[1] < 0.9 * scores[0]
    found = predict_under_pgd(trained("detection"), loader, [0, 4, 2], own, "pixels", 8, seed=0, batch=2, device=CPU)
    assert list(found.boxes) == [index[position].token for position in (0, 4, 2)]
    assert found.scenes == {}
    assert np.isfinite(found.losses).all()


def test_heads_in_groups_and_of_proposals(frames: FrameBatch) -> None:
    """Which cells TransFusion proposes changes by jumps: its loss need not rise at every step."""
    for heads in (small_heads(groups=SIX_GROUPS), small_heads(detection="transfusion")):
        torch.manual_seed(0)
        model = calibrated(BevModel(replace(NETWORKS, heads=heads), small_frames(), "L", "detection"), frames)
        attacked = attack_points(model, frames, task_losses, pgd_params(steps=6), 0.05, seed=0)
        assert (attacked.reached > attacked.path[0]).all()
        assert attacked.reached.mean() > attacked.clean.mean()
