"""How `calico --help` is laid out: commands under headings, then examples and exit codes."""

from typing import Any

from typer.core import TyperGroup

# \b keeps the lines of a paragraph as they are.
EPILOG = """
\b
Examples:
  calico configure dataset=nuscenes_mini dataset.root=/data/nuscenes
  calico view --corruption fog:2
  calico audit data/results/calico

\b
Exit codes:
  0    all is well
  1    something was found: a link that does not fit, a fault, a difference
  2    bad input; stderr says what is wrong, where, and what to do
  75   a training saved its state and ended: the same command continues it
  130  interrupted

`calico COMMAND --help` has examples of every command; docs/cli.md has all.
"""


class Sections(TyperGroup):
    """Lists the commands under the heading that each was registered with (`rich_help_panel`), as plain text."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Called by --help."""
        commands = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        room = formatter.width - 6 - max(map(len, commands))
        headings = dict.fromkeys(getattr(command, "rich_help_panel", None) for command in commands.values())
        for heading in headings:
            with formatter.section(heading or "Commands"):
                formatter.write_dl(
                    [
                        (name.ljust(max(map(len, commands))), command.get_short_help_str(room))
                        for name, command in commands.items()
                        if getattr(command, "rich_help_panel", None) == heading
                    ]
                )
