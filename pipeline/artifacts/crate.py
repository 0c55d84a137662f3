"""An artifact with its whole lineage as a Workflow Run RO-Crate, the form in which repositories take artifacts.

Profile: Provenance Run Crate 0.6 on RO-Crate 1.3 (https://w3id.org/ro/wfrun/provenance/0.6). dvc.yaml is the workflow,
each stage file a tool, each stage that ran a CreateAction from inputs and params to its artifacts. Paths in the crate
are those of the project, so that `calico audit` walks the same chain there.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.artifacts.audit import Link, audit, chain
from pipeline.artifacts.card import CARD
from pipeline.artifacts.graph import to_html
from pipeline.artifacts.lock import LOCK, Lock, Stage, flatten, read_lock
from pipeline.artifacts.view import Digests, Target, ignored, unsafe
from pipeline.errors import UserError

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.6": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.6": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # where sha256 is defined
WORKFLOW = "dvc.yaml"
PROJECT_FILES = ("README.md", "LICENSE", LOCK, "params.yaml", "pyproject.toml", "requirements.lock")
SOURCE = ["File", "SoftwareSourceCode"]
PAGE = "lineage.html"
# What may be large, or stand under the licence of a data set: the crate has its card, and its files only when asked.
DATA = ("raw data", "index", "labels", "regions")


def export(target: Target, out: Path, *, data: bool = False) -> int:
    """Writes the crate.

    Args:
        target: an artifact, in the workspace or at a revision.
        out: a folder that does not exist yet.
        data: also the files of raw data, index, labels and regions.

    Returns:
        The number of files in it, its metadata file not counted.

    Raises:
        UserError: the folder exists, or the lineage does not fit.
    """
    if out.exists():
        raise UserError("the folder exists", where=str(out), remedy="name one that does not, or remove it")
    link = audit(target.path, target.view)
    if not link.ok:
        remedy = f"run `calico audit {target.path}`, mend what is red, or export a committed revision: PATH@rev"
        raise UserError("the lineage does not fit, so it is not exported", where=target.path, remedy=remedy)
    writing = _Writing(target, out, data)
    try:
        count = writing.write(link)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # never half a crate
        raise
    return count


class _Writing:
    """One crate in the making."""

    def __init__(self, target: Target, out: Path, data: bool) -> None:
        from rocrate.rocrate import ROCrate

        self.target, self.out, self.data = target, out, data
        self.digests = Digests(target.view)
        self.crate = ROCrate()
        self.crate.metadata.extra_contexts.append(TERMS)
        self.files: dict[str, Any] = {}

    def write(self, link: Link) -> int:
        links = {path: one for path, one in chain(link).items() if not one.commit}  # as far as this revision reaches
        root = self.crate.root_dataset
        self.crate.name = f"{link.path} with its lineage"
        self.crate.description = (
            f"{link.kind} {link.path} of the project calico and what it was made from, {len(links)} artifacts and "
            "inputs in all, with params, code, seeds, environment and labels used, and the runs of the stages. "
            f"Identity of the artifact: SHA-256 {link.identity}."
        )
        self.crate.license = (
            "Code: Apache-2.0 (LICENSE). What was made from a data set stays under that data set's licence."
        )
        workflow = self._workflow()
        root["conformsTo"] = [
            self._note(uri, "CreativeWork", name=name, version=uri.rpartition("/")[2]) for uri, name in PROFILES.items()
        ]
        for name in PROJECT_FILES:
            if self.target.view.is_file(name):
                self._file(name)
        data = {path: self._artifact(one) for path, one in links.items()}
        controls, actions = self._runs(links, data, workflow)
        whole = self._note(
            "#run", "CreateAction", name=f"dvc repro, as far as {link.path} needs it", instrument=workflow,
            object=[self.files["params.yaml"], *(data[path] for path, one in links.items() if not _made_here(one))],
            result=data[link.path],
        )  # fmt: skip
        engine = self._note(
            "#dvc", "SoftwareApplication", name="DVC", url="https://dvc.org", softwareVersion=_version()
        )
        self._note("#engine-run", "OrganizeAction", name="Run of DVC", instrument=engine, object=controls, result=whole)
        root["mentions"] = [whole, *actions]
        page = self.out / PAGE
        page.write_text(to_html(link), encoding="utf-8")
        told = {"name": "The lineage as a picture", "encodingFormat": "text/html"}
        self.files[PAGE] = self.crate.add_file(page, PAGE, properties=told)
        self.crate.write(self.out)
        return len(self.files)

    def _workflow(self) -> Any:
        from rocrate.model.computerlanguage import ComputerLanguage

        source = self._copy(WORKFLOW)
        language = ComputerLanguage(
            self.crate, "#dvc-pipeline", properties={"name": "DVC pipeline", "url": "https://dvc.org"}
        )
        self.crate.add(language)
        workflow = self.crate.add_workflow(
            source, WORKFLOW, main=True, lang=language,
            properties=self._properties(WORKFLOW) | {"@type": [*SOURCE, "ComputationalWorkflow", "HowTo"]},
        )  # fmt: skip
        self.files[WORKFLOW] = workflow
        return workflow

    def _runs(self, links: Mapping[str, Link], data: Mapping[str, Any], workflow: Any) -> tuple[list[Any], list[Any]]:
        """A step, its control and its action for every stage that ran; one stage may have made several artifacts."""
        made: dict[str, list[Link]] = {}
        for one in links.values():
            if _made_here(one):
                made.setdefault(one.stage or one.card["stage"], []).append(one)
        lock = read_lock(self._read(LOCK)) if self.target.view.is_file(LOCK) else None
        tools: dict[str, Any] = {}
        steps, controls, actions = [], [], []
        for position, (name, outs) in enumerate(made.items()):
            card = outs[0].card
            stage = lock.stages.get(name) if lock else None
            tool = tools[card["stage"]] = self._tool(card, self._watched(lock, stage) if lock and stage else [])
            inputs = {entry["path"] for out in outs for entry in out.card["inputs"]} - {out.path for out in outs}
            command = stage.cmd if stage else f"python -m stages.{card['stage']}"
            action = self._note(
                f"#run-{name}", "CreateAction", name=f"Run of {name}", description=command, instrument=tool,
                object=[*(data[path] for path in sorted(inputs)), *self._params(name, outs)],
                result=[data[out.path] for out in outs],
                actionStatus="http://schema.org/CompletedActionStatus",
            )  # fmt: skip
            step = self._note(f"#step-{name}", "HowToStep", name=name, position=str(position), workExample=tool)
            controls.append(
                self._note(f"#control-{name}", "ControlAction", name=f"DVC runs {name}", instrument=step, object=action)
            )
            steps.append(step)
            actions.append(action)
        workflow["hasPart"] = list(tools.values())
        workflow["step"] = steps
        return controls, actions

    def _watched(self, lock: Lock, stage: Stage) -> list[str]:
        """Files of the project that DVC watches for a stage: its code, and whole rooms of it."""
        places = [dep.path for dep in stage.deps if not unsafe(dep.path) and not lock.maker(dep.path)]
        view = self.target.view
        inside = [f"{place}/{name}" for place in places for name in view.files(place) if not ignored(name)]
        outs = [out for out in lock.outs() if out.startswith(tuple(f"{place}/" for place in places))]
        return [path for path in [*places, *inside] if view.is_file(path) and not path.startswith(tuple(outs))]

    def _tool(self, card: Mapping[str, Any], watched: Iterable[str]) -> Any:
        """The stage file, with the files that it imports and those that DVC watches as its parts."""
        entry = f"stages/{card['stage']}.py"
        tool = self._file(entry, {"@type": SOURCE})
        tool["version"] = card["code"]["digest"]
        tool["hasPart"] = [self._file(path) for path in sorted({*card["code"]["files"], *watched} - {entry})]
        return tool

    def _params(self, name: str, outs: Iterable[Link]) -> list[Any]:
        values: dict[str, Any] = {}
        for out in outs:
            values |= dict(flatten(out.card["params"]))
            values |= {"seeds": out.card["seeds"]} if out.card["seeds"] else {}
        return [
            self._note(f"#param-{name}-{key}", "PropertyValue", name=key, value=json.dumps(value))
            for key, value in sorted(values.items())
        ]

    def _artifact(self, link: Link) -> Any:
        """A Dataset with the files of an artifact or its card alone; a single file; or a mere description."""
        view = self.target.view
        told = {"name": link.path, "identifier": f"sha256:{link.identity}"}
        if view.is_file(link.path):
            return self._file(link.path)
        if not link.card:
            return self._note(f"#{link.path}", "Dataset", description="An input that is not in the crate", **told)
        whole = self.data or link.kind not in DATA
        names = [CARD, *(link.card["files"] if whole else ())]
        files = [self._file(f"{link.path}/{name}") for name in names]
        ledger = link.card["labels"]
        description = f"{link.kind}; {len(link.card['files'])} files on its card"
        description += "" if whole else ", which are not in the crate"
        description += f"; labelled frames: {ledger['count']}"
        description += f"; imported from {link.origin}, where its lineage stands" if link.origin else ""
        dataset = self.crate.add_dataset(
            dest_path=f"{link.path}/", properties={**told, "description": description}
        )  # fmt: skip
        dataset["hasPart"] = files
        return dataset

    def _file(self, path: str, more: Mapping[str, Any] | None = None) -> Any:
        if path not in self.files:
            properties = self._properties(path) | dict(more or {})
            self.files[path] = self.crate.add_file(self._copy(path), path, properties=properties)
        return self.files[path]

    def _properties(self, path: str) -> dict[str, Any]:
        digest = self.digests.of(path)
        return {"name": path, "sha256": digest.sha256, "contentSize": str(digest.size)}

    def _copy(self, path: str) -> Path:
        copied = self.out / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        with self.target.view.open(path) as source, copied.open("wb") as file:
            shutil.copyfileobj(source, file)
        return copied

    def _read(self, path: str) -> bytes:
        with self.target.view.open(path) as file:
            return file.read()

    def _note(self, uri: str, kind: str, /, **properties: Any) -> Any:
        """A contextual entity; values may be entities or lists of them."""
        from rocrate.model.contextentity import ContextEntity

        plain = {name: value for name, value in properties.items() if isinstance(value, str)}
        entity = self.crate.add(ContextEntity(self.crate, uri, properties={"@type": kind, **plain}))
        for name, value in properties.items():
            if not isinstance(value, str):
                entity[name] = value
        return entity


def _made_here(link: Link) -> bool:
    return bool(link.card) and not link.origin


def _version() -> str:
    return metadata.version("dvc")
