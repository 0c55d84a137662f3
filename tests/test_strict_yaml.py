"""The strict loader: what it takes, and the advice it gives for everything else."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.strict_yaml import build_model, read_model


@dataclass(frozen=True)
class Inner:
    eps: float
    min_samples: int

    def __post_init__(self) -> None:
        if self.eps <= 0:
            raise ValueError("eps must be above 0")


@dataclass(frozen=True)
class Outer:
    name: str
    flip: bool
    inner: Inner
    sizes: list[int]
    arms: dict[str, Inner]
    scheduler: str | None
    options: dict[str, list[int] | int | float | bool | str]
    spare: list[str] = field(default_factory=list)


VALID = """\
name: a
flip: true
inner: {eps: 1, min_samples: 5}
sizes: [1, 2]
arms: {left: {eps: 1e-3, min_samples: 1}}
scheduler: null
options: {depths: [2, 2], ratio: 0.5, heads: 3, bias: false, act: gelu}
"""


def read(text: str, tmp_path: Path) -> Outer:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return read_model(Outer, path)


def refusal(text: str, tmp_path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        read(text, tmp_path)
    assert "params.yaml" in caught.value.where
    assert caught.value.remedy
    return caught.value


def test_reads_every_kind_of_field(tmp_path: Path) -> None:
    outer = read(VALID, tmp_path)
    assert outer.inner == Inner(1.0, 5)
    assert isinstance(outer.inner.eps, float)
    assert outer.arms == {"left": Inner(0.001, 1)}
    assert outer.options == {"depths": [2, 2], "ratio": 0.5, "heads": 3, "bias": False, "act": "gelu"}
    assert [type(value) for value in outer.options.values()] == [list, float, int, bool, str]
    assert outer.scheduler is None
    assert outer.spare == []


def test_unknown_key_names_the_nearest_valid_one(tmp_path: Path) -> None:
    error = refusal(VALID.replace("min_samples: 5", "min_samples: 5, epz: 2"), tmp_path)
    assert error.where.endswith("params.yaml: inner.epz")
    assert error.remedy == "did you mean inner.eps?"


def test_unknown_key_without_a_near_one_lists_the_valid_ones(tmp_path: Path) -> None:
    assert "eps, min_samples" in refusal(VALID.replace("min_samples: 5", "min_samples: 5, zzz: 2"), tmp_path).remedy


@pytest.mark.parametrize(
    ("old", "new", "key", "advice"),
    [
        ("eps: 1,", "eps: wide,", "inner.eps", "found text (wide), expected a number"),
        ("eps: 1,", "eps: true,", "inner.eps", "found true or false (True), expected a number"),
        ("min_samples: 5", "min_samples: 5.5", "inner.min_samples", "expected a whole number"),
        ("flip: true", "flip: 1", "flip", "expected true or false"),
        ("name: a", "name: 3", "name", "found a whole number (3), expected text"),
        ("[1, 2]", "[1, x]", "sizes[1]", "expected a whole number"),
        ("[1, 2]", "3", "sizes", "expected a list"),
        ("{eps: 1, min_samples: 5}", "7", "inner", "expected a group of keys"),
        ("scheduler: null", "scheduler: 3", "scheduler", "expected text or null"),
        ("eps: 1,", "eps: .nan,", "inner.eps", "expected a finite number"),
        ("eps: 1,", "eps: -1,", "inner", "eps must be above 0"),
        ("eps: 1e-3,", "eps: 0,", "arms.left", "eps must be above 0"),
        ("eps: 1,", "eps: '???',", "inner.eps", "has to be given"),
        ("left:", "3:", "arms", "expected text"),
        ("act: gelu", "act: null", "options.act", "found null"),
        ("flip: true\n", "", "flip", "the key is missing"),
        ("eps: 1,", "", "inner.eps", "the key is missing"),
    ],
)
def test_wrong_value_says_key_found_and_expected(old: str, new: str, key: str, advice: str, tmp_path: Path) -> None:
    assert old in VALID
    error = refusal(VALID.replace(old, new, 1), tmp_path)
    assert error.where.endswith(f"params.yaml: {key}")
    assert advice in error.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("name: [1\n", "not valid YAML"),
        ("name: a\nname: b\n", "key 'name' is given twice"),
        ("- 1\n", "expected a group of keys"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_broken_files_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    assert problem in refusal(text, tmp_path).problem


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_model(Outer, tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_model(Outer, tmp_path / "binary.yaml")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@settings(deadline=None)  # a loaded machine is no failure
@given(trees)
def test_any_content_is_built_or_refused_with_advice(content: object) -> None:
    try:
        built = build_model(Inner, content, "x.yaml")
    except UserError:
        return
    assert isinstance(built, Inner)
    assert isinstance(built.eps, float)
