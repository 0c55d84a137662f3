"""The choice in conf/config.yaml and its composition in params.yaml, kept equal.

DVC composes the same groups with the same library in `dvc exp run -S dataset=… -S scale=…`; composing here as well lets
a plain `dvc repro` run any choice and makes the choice a visible change in git.
"""

import difflib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError
from pipeline.params import Params, load_params
from pipeline.strict_yaml import build_model, read_yaml

HEADER = """\
# The choice that params.yaml is composed from: one file of each group, then single values over it.
# Written by `calico configure group=choice key=value …`.
"""


def configure(assignments: Sequence[str], *, root: Path = Path()) -> list[str]:
    """Changes the choice and composes params.yaml anew; what is not named stays as it was chosen before.

    Args:
        assignments: `group=choice` (a file of conf/<group>/) or `dotted.key=value` (a value in YAML). Another choice of
            a group drops earlier values below the key of that name, e.g. dataset.root when dataset changes.
        root: the project's root.

    Returns:
        The paths of the files that changed.

    Raises:
        UserError: an unknown group, choice or key, a value of the wrong type, or one that has yet to be given. Neither
            file is changed then.
    """
    config, params = root / "conf" / "config.yaml", root / "params.yaml"
    chosen, values = read_choice(root / "conf")
    previous = dict(chosen)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UserError(f"{assignment!r} is not an assignment", where="command line", remedy="write key=value")
        if key in chosen:
            chosen[key] = _existing_choice(root / "conf", key, text)
    for group in [name for name in chosen if chosen[name] != previous[name]]:
        values.pop(group, None)
    for key, _, text in (assignment.partition("=") for assignment in assignments):
        if key == "defaults":
            raise UserError(
                "unknown key", where="params.yaml: defaults", remedy=f"valid keys here: {', '.join(chosen)}"
            )
        if key not in chosen:
            _set(values, key, _value(key, text))
    defaults = ["method", *({group: choice} for group, choice in chosen.items()), "_self_"]
    text = HEADER + _dump({"defaults": defaults}) + (_dump(values) if values else "")
    with tempfile.TemporaryDirectory() as scratch:
        trial = Path(scratch, "conf")
        shutil.copytree(root / "conf", trial)
        (trial / "config.yaml").write_text(text, encoding="utf-8")
        composed = compose(trial)
    changed = []
    for path, content in ((config, text), (params, composed)):
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            write_file(path, content.encode())
            changed.append(path.as_posix())
    return changed


def compose(conf: Path, overrides: Sequence[str] = ()) -> str:
    """What params.yaml holds for the choice in `conf`/config.yaml, byte for byte as `dvc exp run -S` writes it.

    Args:
        conf: folder of config.yaml and the groups.
        overrides: further choices and values in Hydra's grammar.

    Raises:
        UserError: the composition fails, or `Params` refuses it.
    """
    from hydra import compose as compose_config
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            config = compose_config(config_name="config", overrides=list(overrides))
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        remedy = "name a file of conf/<group>/ or a key of params.yaml"
        raise UserError(" ".join(str(error).split()), where="conf/config.yaml", remedy=remedy) from None
    except yaml.YAMLError as error:
        problem = f"a file of conf/ is not valid YAML: {' '.join(str(error).split())}"
        raise UserError(problem, where="conf", remedy="correct that line") from None
    build_model(Params, OmegaConf.to_container(config), "params.yaml")
    return str(OmegaConf.to_yaml(config))


def params_at(scale: str | None, *, root: Path = Path()) -> Params:
    """The params of `root`/params.yaml, or with a scale those that choosing it would give.

    Raises:
        UserError: there is no such scale, or as for `compose` and `load_params`.
    """
    if scale is None:
        return load_params(root / "params.yaml")
    composed = compose(root / "conf", [f"scale={_existing_choice(root / 'conf', 'scale', scale)}"])
    return build_model(Params, yaml.safe_load(composed), "params.yaml")


def read_choice(conf: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The choice of every group and the values over it, from `conf`/config.yaml.

    Raises:
        UserError: the file is not of the form that `configure` writes.
    """
    path = conf / "config.yaml"
    content = read_yaml(path)
    defaults = content.pop("defaults", None) if isinstance(content, dict) else None
    groups = [item for item in defaults if isinstance(item, dict)] if isinstance(defaults, list) else []
    if not isinstance(content, dict) or not groups:
        remedy = "bring it back with git checkout conf/config.yaml"
        raise UserError("the file holds no choice of groups", where=str(path), remedy=remedy)
    return {str(group): str(choice) for item in groups for group, choice in item.items()}, content


def _existing_choice(conf: Path, group: str, choice: str) -> str:
    choices = sorted(path.stem for path in (conf / group).glob("*.yaml"))
    if choice not in choices:
        near = difflib.get_close_matches(choice, choices, n=1)
        remedy = f"did you mean {group}={near[0]}?" if near else f"choose one of {', '.join(choices)}"
        raise UserError(f"there is no choice {choice!r} of {group}", where=f"conf/{group}", remedy=remedy)
    return choice


def _value(key: str, text: str) -> object:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        content: Any = OmegaConf.to_container(OmegaConf.create(f"value: {text}"))
        return content["value"]
    except (OmegaConfBaseException, yaml.YAMLError, KeyError, TypeError) as error:
        problem = f"{text!r} is not a value: {' '.join(str(error).split())}"
        raise UserError(problem, where=f"command line: {key}", remedy="write a YAML value, e.g. [0.1, 1.0]") from None


def _set(values: dict[str, Any], key: str, value: object) -> None:
    *groups, last = key.split(".")
    for group in groups:
        inner = values.setdefault(group, {})
        if not isinstance(inner, dict):
            inner = values[group] = {}
        values = inner
    values[last] = value


def _dump(content: dict[str, Any]) -> str:
    from omegaconf import OmegaConf

    return str(OmegaConf.to_yaml(OmegaConf.create(content)))
