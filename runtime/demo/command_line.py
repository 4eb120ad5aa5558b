"""The command line: what can be asked for, and what does not go together."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

PROVIDERS = ("openai-completions",)

_DESCRIPTION = """\
See the main job of agentrio at work.

Without arguments an agent plays seven short scenes on a scripted model: no key, no network, ten
seconds. It checks itself: the exit status is 0 if all checks hold, 1 if not, 130 after Ctrl-C.
"""
_EPILOG = """\
examples:
  python -m runtime.demo
  python -m runtime.demo --interactive
  python -m runtime.demo --provider openai-completions --base-url http://localhost:11434/v1 \\
      --model qwen3 --tools
  python -m runtime.demo --provider openai-completions --base-url https://api.openai.com/v1 \\
      --model gpt-5-mini --interactive

keys:
  --api-key, else AGENTRIO_API_KEY, goes to whatever --base-url says; OPENAI_API_KEY only goes to
  https://api.openai.com/v1. Without a key, requests carry none. Prefer the environment: others may
  see a command line.
"""


_OF_ENDPOINT = ("base_url", "model", "api_key", "prompt", "tools")


@dataclass(frozen=True)
class Arguments:
    """What was asked for; ``provider`` is None for the scripted model."""

    fast: bool = False
    interactive: bool = False
    provider: str | None = None
    base_url: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    prompt: str | None = None
    tools: bool = False


def parse(argv: Sequence[str]) -> Arguments:
    """Read the command line; what is wrong with it ends the program with a usage line and status 2."""
    parser = _parser()
    arguments = Arguments(**vars(parser.parse_args(argv)))
    if problem := _contradiction(arguments):
        parser.error(problem)
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime.demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--fast", action="store_true", help="play the scenes without pauses, on a virtual clock"
    )
    mode.add_argument(
        "--interactive",
        action="store_true",
        help="chat: what you type while the agent works is steering, Ctrl-C aborts the run, Ctrl-D ends",
    )
    _add_endpoint(parser.add_argument_group("a real endpoint"))
    return parser


def _add_endpoint(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--provider", choices=PROVIDERS, help="the API that it speaks")
    group.add_argument(
        "--base-url", metavar="URL", help="where it is, up to /v1: http://localhost:11434/v1 for Ollama"
    )
    group.add_argument("--model", metavar="ID", help="the model's name there")
    group.add_argument("--api-key", metavar="KEY", help="see below; never shown")
    group.add_argument("--prompt", metavar="TEXT", help="what to ask, unless --interactive")
    group.add_argument(
        "--tools", action="store_true", help="let the model use a clock, a calculator and a slow counter"
    )


def _contradiction(arguments: Arguments) -> str | None:
    """What is missing or too much, if anything."""
    if arguments.provider is None:
        strays = [
            name for name in ("base_url", "model", "api_key", "prompt", "tools") if getattr(arguments, name)
        ]
        return f"{_flags(strays)} only with --provider" if strays else None
    missing = [name for name in ("base_url", "model") if not getattr(arguments, name)]
    if missing:
        return f"--provider needs {_flags(missing)}"
    if arguments.fast:
        return "--fast is for the scenes: a real endpoint takes its own time"
    if arguments.prompt is not None and not arguments.prompt.strip():
        return "--prompt is empty"
    if arguments.prompt is not None and arguments.interactive:
        return "--prompt asks once, --interactive asks you: use one of them"
    return None


def _flags(names: Sequence[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)
