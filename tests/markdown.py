"""Markdown as the tests of the documents read it: code blocks, shell commands, links, anchors, words in backticks."""

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)```(\S+)?[ ]?([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
CONTROL = {"until", "while", "if", "then", "else", "elif", "do", "done", "fi", "for", "!", "{", "}"}


@dataclass(frozen=True)
class Block:
    """A fenced block: language, what follows it on its line, and the text without its indentation."""

    language: str
    title: str
    text: str


class Page:
    """One file of Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.prose = FENCE.sub("", self.text)
        self.blocks = [
            Block(language, title.strip(), textwrap.dedent(text))
            for _, language, title, text in FENCE.findall(self.text)
        ]

    def code(self, *languages: str) -> list[Block]:
        """Blocks of these languages."""
        return [block for block in self.blocks if block.language in languages]

    def commands(self) -> list[list[str]]:
        """The words of every simple command of the shell blocks, without comments, keywords and assignments."""
        return [words for block in self.code("sh", "bash") for words in commands(block.text)]

    def inline(self) -> list[list[str]]:
        """The words of commands in backticks, but for those with a `…`; their places to fill in stay words."""
        spans = re.findall(r"`((?:calico|dvc|python -m) [^`…]+)`", self.prose)
        return [words for span in spans for words in commands(span)]

    def links(self) -> list[str]:
        """Targets of links and pictures that are no web address."""
        return [link for link in re.findall(r"\]\(([^)\s]+)\)", self.prose) if "://" not in link]

    def anchors(self) -> set[str]:
        """The fragments that GitHub gives to its headings."""
        headings = re.findall(r"^#{1,6} (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def words(self) -> list[str]:
        """What stands in backticks, without blanks."""
        return re.findall(r"`([^`\s]+)`", self.prose)


def commands(script: str) -> list[list[str]]:
    """The words of the simple commands of a shell script; what a quoted `bash -c` holds is read, too."""
    bare = re.sub(r"(^|[ \t])#.*", "", script, flags=re.MULTILINE).replace("\\\n", " ")
    lexer = shlex.shlex(bare, posix=True, punctuation_chars="();|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    found: list[list[str]] = []
    words: list[str] = []
    for token in [*lexer, "\n"]:
        if not set(token) <= set("();|&\n"):
            words.append(token)
            continue
        words = [word for word in words if word not in CONTROL]
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            found.append(words)
            if words[-2:-1] == ["-c"]:
                found += commands(words[-1])
        words = []
    return found


def outs() -> list[str]:
    """What the stages write, up to the first place that is filled in."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return [out.split("$")[0] for stage in stages.values() for out in stage.get("do", stage)["outs"]]


def is_written(path: str) -> bool:
    """Whether a stage writes this path, something below it or above it."""
    return any(path.startswith(out) or out.startswith(path) for out in outs())
