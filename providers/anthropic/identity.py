"""How a request looks like one of Claude Code, for handles that were made with ``claude_code_identity``.

Whether a subscription's terms allow that is for its holder to know; nothing here is used otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.values.tool import Tool

SYSTEM_PROMPT = "You are Claude Code, Anthropic's official CLI for Claude."
BETA = "claude-code-20250219"
HEADERS: Mapping[str, str] = {"user-agent": "claude-cli/2.1.75", "x-app": "cli"}
_TOOLS = (
    "Read", "Write", "Edit", "Bash", "Grep", "Glob", "AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "KillShell",
    "NotebookEdit", "Skill", "Task", "TaskOutput", "TodoWrite", "WebFetch", "WebSearch",
)  # fmt: skip
_BY_LOWER = {name.lower(): name for name in _TOOLS}


@dataclass(frozen=True)
class ToolNames:
    """What tools are called on the wire; by ``posing``, those that Claude Code has too are spelt its way."""

    posing: bool = False

    def sent(self, name: str) -> str:
        """A tool's name as the request has it."""
        return _BY_LOWER.get(name.lower(), name) if self.posing else name

    def received(self, tools: Iterable[Tool]) -> dict[str, str]:
        """The caller's names of tools by what a reply may call them, in lower case; empty where they are the same."""
        return {tool.name.lower(): tool.name for tool in reversed(list(tools))} if self.posing else {}
