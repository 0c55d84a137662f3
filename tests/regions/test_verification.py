"""`verify_store` finds every file that is not as the manifest says, and tells what rebuilds it."""

import json
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.regions.verification import verify_store
from tests.regions.small_store import HEADER, SHARDS, SmallStore, build_small


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    return build_small(tmp_path)


def test_a_sound_store(small: SmallStore) -> None:
    verdict = verify_store(small.path)
    assert verdict.damages == ()
    told = verdict.to_json()
    assert (told["sound"], told["shards"], told["sound_shards"], told["frames"], told["bad_frames"]) == (
        True, 3, 3, 9, 1,
    )  # fmt: skip
    assert told["repair"] is None
    assert verdict.lines() == [
        f"{small.path}: 3 of 3 shards sound, 9 of 9 frames, 1 of these without ids (unreadable when built)"
    ]


def test_every_kind_of_damage_is_named_with_its_frames(small: SmallStore) -> None:
    small.flip(SHARDS[0])
    (small.path / SHARDS[2]).unlink()
    small.flip(HEADER)
    verdict = verify_store(small.path)
    assert [(damage.file, damage.problem) for damage in verdict.damages] == [
        (HEADER, "changed"), ("ids.zarr/c/0/0", "changed"), ("ids.zarr/c/2/0", "missing"),
    ]  # fmt: skip
    assert [shard.first for shard in verdict.shards] == [0, 8]
    told = verdict.to_json()
    assert (told["sound"], told["sound_shards"], told["sound_frames"]) == (False, 1, 4)
    assert [entry["frames"] for entry in told["damaged"]] == [None, [0, 3], [8, 8]]
    assert told["repair"] == f"calico regions repair {small.path}"
    assert json.loads(json.dumps(told)) == told
    text = "\n".join(verdict.lines())
    assert "1 of 3 shards sound, 4 of 9 frames" in text
    assert "changed: ids.zarr/c/0/0 (frames 0 to 3)" in text
    assert "missing: ids.zarr/c/2/0 (frames 8 to 8)" in text
    assert "header of the array" in text
    assert text.endswith(f"rebuild only these: calico regions repair {small.path}")


def test_any_flipped_byte_of_any_file_is_found(small: SmallStore) -> None:
    for file in (SHARDS[1], HEADER):
        sound = (small.path / file).read_bytes()
        for at in range(0, len(sound), max(1, len(sound) // 50)):
            small.flip(file, at)
            assert [damage.file for damage in verify_store(small.path).damages] == [file]
            (small.path / file).write_bytes(sound)
    assert verify_store(small.path).damages == ()


def test_a_folder_in_place_of_a_shard_is_no_crash(small: SmallStore) -> None:
    (small.path / SHARDS[1]).unlink()
    (small.path / SHARDS[1]).mkdir()
    assert [damage.problem for damage in verify_store(small.path).damages] == ["unreadable: Is a directory"]


def test_a_path_with_a_space_is_quoted_in_the_command(small: SmallStore) -> None:
    small.flip(SHARDS[0])
    moved = small.path.rename(small.path.with_name("my store"))
    assert verify_store(moved).to_json()["repair"] == f"calico regions repair '{moved}'"


def test_no_store_and_a_damaged_manifest(small: SmallStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no region store here") as caught:
        verify_store(tmp_path / "nowhere")
    assert "dvc repro regions" in caught.value.remedy
    small.flip("manifest.json", 200)
    with pytest.raises(UserError, match="manifest is damaged") as caught:
        verify_store(small.path)
    assert "dvc checkout" in caught.value.remedy
