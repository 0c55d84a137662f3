"""The training loop on a small regression: it learns, stops on NaN, and continues after a kill to the same bits."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from pipeline.frames.order import batches
from pipeline.params import Runtime, Schedule
from pipeline.training.fabric import open_fabric
from pipeline.training.guards import NonFiniteLossError
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit
from pipeline.training.schedule import build_optimizer

SCHEDULE = Schedule(epochs=None, steps=40, batch=4, lr=0.02, weight_decay=0.01, clip=10.0, warmup=0.3)
RUNTIME = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=1, save_every=0.0)


class Killed(BaseException):
    """Stands for the process ending between two steps."""


def problem(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    inputs = torch.randn(32, 6)
    # Dropout makes the result depend on the global random state, which a resume must restore.
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)), inputs, inputs[:, :1] * 2 + 1


def train(
    scratch: Path,
    die_at: int | None = None,
    spoil_at: int | None = None,
    unreadable: int | None = None,
    slow: Callable[[int], float] = lambda number: 0.0,
    dropout: bool = True,
    schedule: Schedule = SCHEDULE,
    seen: list[dict[str, Tensor]] | None = None,
    runtime: Runtime = RUNTIME,
) -> tuple[nn.Module, History, list[int]]:
    """Also returns the numbers of the steps whose batches were loaded, in the order of loading.

    `seen` takes the weights that each forward pass finds.
    """
    module, inputs, targets = problem()
    module.train(dropout)
    loaded: list[int] = []

    def load(step: Step) -> tuple[Tensor, Tensor]:
        loaded.append(step.number)
        if step.number == unreadable:
            raise OSError(f"no file for step {step.number}")
        time.sleep(slow(step.number))
        return inputs[step.positions], targets[step.positions]

    def losses(network: nn.Module, step: Step, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if step.number == die_at:
            raise Killed
        if seen is not None:
            seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        loss = (network(batch[0]) - batch[1]).square().mean()
        return {"loss": loss * float("nan") if step.number == spoil_at else loss}

    run = Run("test", range(32), schedule, 3, scratch)
    fabric = open_fabric(runtime, schedule.precision, 3)
    return module, fit(fabric, module, load, losses, run, runtime), loaded


def assert_same_weights(one: nn.Module, two: nn.Module) -> None:
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_learns(tmp_path: Path) -> None:
    """Measured on all samples without dropout: a step's own loss is that of four samples, and dropout shakes it."""
    fresh, inputs, targets = problem()
    trained, history, _ = train(tmp_path)
    assert len(history.rows) == 40
    with torch.no_grad():
        before, after = ((net.eval()(inputs) - targets).square().mean() for net in (fresh, trained))
    assert after < before / 2


def test_killed_run_continues_to_the_same_bits(tmp_path: Path) -> None:
    straight, whole, _ = train(tmp_path / "straight")
    with pytest.raises(Killed):
        train(tmp_path / "killed", die_at=23)
    resumed, history, loaded = train(tmp_path / "killed")
    assert history.rows == whole.rows
    assert loaded == list(range(23, 40))  # the batch that the killed run had loaded ahead comes again
    assert_same_weights(straight, resumed)


def test_dropout_depends_on_the_step_alone(tmp_path: Path) -> None:
    """What was drawn before leaves no trace; and dropout shows in the weights, so the comparison above can fail."""
    here = replace(RUNTIME, loader_threads=0)  # in a thread, draws could fall between those of a pass
    straight, *_ = train(tmp_path / "straight", runtime=here)
    drawing, *_ = train(tmp_path / "drawing", slow=lambda number: float(torch.rand(())) * 1e-9, runtime=here)
    assert_same_weights(straight, drawing)
    without, *_ = train(tmp_path / "without", dropout=False, runtime=here)
    assert not torch.equal(straight.state_dict()["0.weight"], without.state_dict()["0.weight"])


def test_non_finite_loss_stops_before_the_step(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match="step 7: loss is nan; the first bad tensor is the loss term loss"):
        train(tmp_path, spoil_at=7)
    assert len(torch.load(tmp_path / "state.pt", weights_only=True)["rows"]) == 7


def test_batches_come_one_step_ahead_in_their_order(tmp_path: Path) -> None:
    """The load of a step has begun before the step before it ends, and none begins earlier; each step gets its own."""
    network, inputs, targets = problem()
    begun = [threading.Event() for _ in range(40)]
    loads: list[Step] = []
    trained: list[Step] = []

    def load(step: Step) -> Step:
        assert threading.current_thread() is not threading.main_thread()
        loads.append(step)
        begun[step.number].set()
        return step

    def losses(network: nn.Module, step: Step, batch: Step) -> dict[str, Tensor]:
        assert batch is step
        trained.append(step)
        if step.number + 1 < 40:
            assert begun[step.number + 1].wait(10)
        assert len(loads) == min(step.number + 2, 40)
        return {"loss": (network(inputs[step.positions]) - targets[step.positions]).square().mean()}

    fabric = open_fabric(RUNTIME, "32-true", 3)
    fit(fabric, network, load, losses, Run("test", range(32), SCHEDULE, 3, tmp_path), RUNTIME)
    assert [step.number for step in trained] == list(range(40))
    assert loads == trained
    drawn = list(batches(range(32), 4, 40, 3, 0))
    assert [(step.epoch, step.positions) for step in trained] == drawn


def test_time_that_loading_takes_changes_no_bit(tmp_path: Path) -> None:
    swift, fast, _ = train(tmp_path / "swift")
    shaky, slow, _ = train(tmp_path / "shaky", slow=lambda number: 0.004 * (number % 3))
    assert slow.rows == fast.rows
    assert_same_weights(swift, shaky)


@pytest.mark.parametrize("step", [0, 7, 39])
def test_error_in_load_reaches_the_caller_and_the_steps_before_are_kept(step: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"no file for step {step}$"):
        train(tmp_path / "broken", unreadable=step)
    if step:
        assert len(torch.load(tmp_path / "broken" / "state.pt", weights_only=True)["rows"]) == step
    resumed, history, loaded = train(tmp_path / "broken")
    straight, whole, _ = train(tmp_path / "straight")
    assert loaded == list(range(step, 40))
    assert history.rows == whole.rows
    assert_same_weights(straight, resumed)


def test_micro_batches_add_up_to_the_batch(tmp_path: Path) -> None:
    """Their gradients, losses and norms are means over the same four frames; nothing here depends on the others."""
    whole, history, _ = train(tmp_path / "whole", dropout=False)
    parts, rows, loaded = train(tmp_path / "parts", dropout=False, schedule=replace(SCHEDULE, micro_batch=1))
    assert loaded == [number for number in range(40) for _ in range(4)]
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    for one, other in zip(history.rows, rows.rows, strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_average_of_the_weights_is_what_is_left(tmp_path: Path) -> None:
    """By hand from the weights after every step; and a killed run continues to the same average."""
    averaged = replace(SCHEDULE, ema=0.8)
    seen: list[dict[str, Tensor]] = []
    module, _, _ = train(tmp_path / "straight", schedule=averaged, seen=seen)
    last = torch.load(tmp_path / "straight/state.pt", weights_only=True)["parts"]["module"]
    expected = seen[1]
    for weights in [*seen[2:], last]:
        expected = {name: 0.8 * expected[name] + 0.2 * tensor for name, tensor in weights.items()}
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])
        assert not torch.equal(tensor, last[name])
    with pytest.raises(Killed):
        train(tmp_path / "killed", die_at=23, schedule=averaged)
    resumed, *_ = train(tmp_path / "killed", schedule=averaged)
    assert_same_weights(module, resumed)
    again, *_ = train(tmp_path / "killed", schedule=averaged)  # killed before it was published
    assert_same_weights(module, again)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_resumes(precision: Literal["bf16-mixed", "16-mixed"], tmp_path: Path) -> None:
    """Near the losses of full precision, not equal to them; the scaler of float16 gradients is part of the state."""
    _, full, _ = train(tmp_path / "full")
    mixed = replace(SCHEDULE, precision=precision)
    straight, whole, _ = train(tmp_path / "straight", schedule=mixed)
    assert [row["loss"] for row in whole.rows[:5]] == pytest.approx([row["loss"] for row in full.rows[:5]], rel=0.05)
    assert whole.rows != full.rows
    assert all(parameter.dtype == torch.float32 for parameter in straight.parameters())
    with pytest.raises(Killed):
        train(tmp_path / "killed", die_at=23, schedule=mixed)
    resumed, history, _ = train(tmp_path / "killed", schedule=mixed)
    assert history.rows == whole.rows
    assert_same_weights(straight, resumed)
    parts = torch.load(tmp_path / "killed/state.pt", weights_only=True)["parts"]
    assert bool(parts["precision"]) == (precision == "16-mixed")


def test_steps_of_a_schedule() -> None:
    assert SCHEDULE.total_steps(1000) == 40
    assert replace(SCHEDULE, steps=None, epochs=20.0).total_steps(30) == 150
    assert replace(SCHEDULE, steps=None, epochs=0.5).total_steps(7) == 1


def test_of_two_limits_the_earlier_ends_a_schedule(tmp_path: Path) -> None:
    both = replace(SCHEDULE, steps=12, epochs=2.0)
    assert both.total_steps(8) == 4  # few frames: none is seen more than twice
    assert both.total_steps(24) == both.total_steps(1000) == 12
    network, inputs, targets = problem()
    seen: list[int] = []

    def losses(network: nn.Module, step: Step, _: None) -> dict[str, Tensor]:
        seen.extend(step.positions)
        return {"loss": (network(inputs[step.positions]) - targets[step.positions]).square().mean()}

    fabric = open_fabric(RUNTIME, "32-true", 3)
    history = fit(fabric, network, lambda step: None, losses, Run("test", range(8), both, 3, tmp_path), RUNTIME)
    assert len(history.rows) == 4
    assert sorted(seen) == sorted([*range(8), *range(8)])
    assert history.rows[-1]["lr"] < 0.002 < max(row["lr"] for row in history.rows)  # the cycle is over, too


def test_one_cycle_peaks_at_the_learning_rate_and_spares_norms_and_biases() -> None:
    network = problem()[0]
    optimizer, cycle = build_optimizer(network, SCHEDULE, 40)
    rates, momenta = [], []
    for _ in range(40):
        rates.append(cycle.get_last_lr()[0])
        momenta.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        cycle.step()
    assert max(rates) == pytest.approx(0.02, rel=0.02)
    assert rates[0] == pytest.approx(0.002) and rates[-1] < rates[0]
    assert min(momenta) == pytest.approx(0.85, abs=0.01) and momenta[0] == pytest.approx(0.95)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert all(parameter.ndim == 1 for parameter in optimizer.param_groups[1]["params"])


@pytest.mark.parametrize(("steps", "warmup"), [(5, 0.2), (10, 0.1), (1, 0.4), (2, 0.2)])
def test_shortest_warm_ups(steps: int, warmup: float) -> None:
    """A warm-up of one step, or of less: the cycle can be walked, and one of a step begins at the peak."""
    optimizer, cycle = build_optimizer(problem()[0], replace(SCHEDULE, warmup=warmup), steps)
    rates = []
    for _ in range(steps):
        rates.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()
    assert all(0 < rate <= SCHEDULE.lr for rate in rates)
    if warmup * steps == 1:
        assert rates[0] == pytest.approx(SCHEDULE.lr, rel=1e-6)


def test_named_parameters_follow_the_cycle_at_their_own_rate() -> None:
    network = problem()[0]
    optimizer, cycle = build_optimizer(network, SCHEDULE, 40, {"0.weight": 0.1, "0.bias": 0.1})
    groups = optimizer.param_groups
    assert [len(group["params"]) for group in groups] == [1, 1, 1, 1]
    assert groups[2]["params"][0] is network.get_parameter("0.weight")
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.01, 0.0]
    for _ in range(40):
        full, _, slow, _ = cycle.get_last_lr()
        assert slow == pytest.approx(full / 10)
        optimizer.step()
        cycle.step()


def test_history_is_written_as_csv(tmp_path: Path) -> None:
    History([{"loss": 2.0, "lr": 0.1}, {"loss": 1 / 3, "lr": 0.05}]).write(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "step,loss,lr\n0,2,0.1\n1,0.333333,0.05\n"
