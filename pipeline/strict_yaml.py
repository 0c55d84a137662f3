"""YAML into frozen dataclasses, strictly: nothing is guessed, ignored or converted in silence."""

import dataclasses
import difflib
import math
import re
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from pipeline.errors import UserError

Model = TypeVar("Model")
NOT_GIVEN = "???"  # Hydra's mark of a value that has to be given
_NAMES: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_NAMES |= {type(None): "null", list: "a list", dict: "a group of keys"}


def read_exponents(loader: type[yaml.SafeLoader | yaml.CSafeLoader]) -> None:
    """Lets a loader of PyYAML read 1e-3 as a number, as YAML 1.2, DVC and Hydra do."""
    pattern = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    loader.add_implicit_resolver("tag:yaml.org,2002:float", pattern, list("-+0123456789."))


class _Loader(yaml.SafeLoader):
    """Safe, refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        if doubled := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"key {doubled!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


read_exponents(_Loader)


def read_model(model: type[Model], path: Path) -> Model:
    """Reads a YAML file into a dataclass, field by field.

    Args:
        model: dataclass of scalars, Literals, lists, dicts with text keys, unions of these and further dataclasses.
        path: the file.

    Raises:
        UserError: the file is missing, empty or broken; a key is unknown (names the nearest valid one), given twice,
            missing or of the wrong type; a number is not finite; a `__post_init__` refused a value with ValueError.
    """
    return build_model(model, read_yaml(path), str(path))


def read_yaml(path: Path) -> object:
    """The plain content of a YAML file.

    Raises:
        UserError: the file is missing, empty, not text or not YAML.
    """
    try:
        content: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        remedy = "run from the project's root, or bring the file back with git checkout"
        raise UserError("the file does not exist", where=str(path), remedy=remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the file cannot be read: {error}", where=str(path), remedy="check the file") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"the file is not valid YAML: {problem}", where=str(path), remedy="correct that line") from None
    if content is None:
        raise UserError("the file is empty", where=str(path), remedy="bring it back with git checkout")
    return content


def build_model(model: type[Model], content: object, source: str) -> Model:
    """`content` (plain YAML values) as a `model`; `source` names the file in errors. Errors as in `read_model`."""
    built: Model = _convert(model, content, source, "")
    return built


def _convert(kind: Any, value: object, source: str, key: str) -> Any:
    if value == NOT_GIVEN:
        raise _error("this value has to be given", source, key, f"calico configure {key}=…")
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_group(kind, value, source, key)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        exact = [option for option in arguments if type(value) is (get_origin(option) or option)]
        for option in [*exact, *arguments]:
            if exact or _fits(option, value):
                return _convert(option, value, source, key)
        raise _mismatch(kind, value, source, key)
    if origin is Literal:
        return _choose(arguments, value, source, key)
    if not _fits(kind, value):
        raise _mismatch(kind, value, source, key)
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], item, source, f"{key}[{i}]") for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {
            _text_key(name, source, key): _convert(arguments[1], value[name], source, _join(key, name))
            for name in value
        }
    if isinstance(value, float) and not math.isfinite(value):
        raise _error(f"found {value}, expected a finite number", source, key, "write a finite number")
    return float(value) if kind is float and isinstance(value, int) else value


def _convert_group(kind: type[Any], value: object, source: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(dict, value, source, key)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1, cutoff=0.5)
            remedy = f"did you mean {_join(key, near[0])}?" if near else f"valid keys here: {', '.join(fields)}"
            raise _error("unknown key", source, _join(key, name), remedy)
    hints = get_type_hints(kind)
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in value and not optional:
            remedy = f"add it; it is {_describe(hints[name])}"
            raise _error("the key is missing", source, _join(key, name), remedy)
    converted = {name: _convert(hints[name], value[name], source, _join(key, name)) for name in value}
    try:
        return kind(**converted)
    except ValueError as error:
        raise _error(str(error), source, key, "correct the value") from None


def _choose(choices: tuple[Any, ...], value: object, source: str, key: str) -> object:
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    near = difflib.get_close_matches(str(value), map(str, choices), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(map(str, choices))}"
    raise _error(f"found {value!r}, expected {_describe(Literal[choices])}", source, key, remedy)


def _fits(kind: Any, value: object) -> bool:
    """Whether a value has the outer type of `kind`: a bool is no number, a whole number is a number."""
    outer = get_origin(kind) or kind
    if isinstance(value, bool):
        return outer is bool
    return isinstance(value, (int, float) if outer is float else outer)


def _text_key(name: object, source: str, key: str) -> str:
    if not isinstance(name, str):
        raise _error(f"found the key {name!r}, expected text", source, key, f'write "{name}" in quotes')
    return name


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _describe(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is list:
        return f"a list, each {_describe(get_args(kind)[0])}"
    return _NAMES.get(get_origin(kind) or kind, "a group of keys")


def _mismatch(kind: Any, value: object, source: str, key: str) -> UserError:
    found = f"{_NAMES.get(type(value), type(value).__name__)} ({str(value)[:60]})"
    return _error(f"found {found}, expected {_describe(kind)}", source, key, f"write {_describe(kind)}")


def _error(problem: str, source: str, key: str, remedy: str) -> UserError:
    return UserError(problem, where=f"{source}: {key}" if key else source, remedy=remedy)
