"""What an agent does, told while it happens: a listener that prints."""

from collections.abc import Sequence

import trio

from runtime import (
    AgentEvent,
    AgentStart,
    AssistantMessage,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    StopReason,
    TextContent,
    TextDelta,
    ThinkingDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    TurnEnd,
    UserMessage,
)

from .screen import Screen, Style


class Narrator:
    """Prints the events of an agent: ``agent.subscribe(Narrator(screen))``.

    Without ``echo``, prompts are not repeated: whoever typed them has seen them.
    """

    def __init__(self, screen: Screen, *, echo: bool = True) -> None:
        self._screen = screen
        self._echo = echo
        self._began = 0.0
        self._prompted = False

    async def __call__(self, event: AgentEvent) -> None:
        """Print one event. The agent waits for it, so nothing piles up."""
        match event:
            case AgentStart():
                self._began, self._prompted = trio.current_time(), False
            case MessageStart(UserMessage() as message):
                self._heard(message)
            case MessageUpdate(TextDelta(delta=delta)):
                self._screen.flow("agent", delta, Style.Agent)
            case MessageUpdate(ThinkingDelta(delta=delta)):
                self._screen.flow("thinks", delta, Style.Faint, Style.Faint)
            case MessageEnd(AssistantMessage() as reply):
                self._ended(reply)
            case ToolExecutionStart() | ToolExecutionUpdate() | ToolExecutionEnd():
                self._worked(event)
            case TurnEnd(tool_results=[_, _, *_] as results):
                self._ordered(results)

    def _heard(self, message: UserMessage) -> None:
        """The first message of a run is its prompt; what comes after it joined from the mailbox."""
        if self._prompted:
            self._screen.labelled(
                f"you  {self._screen.symbols.joins}", f"{_text(message)}   [steering]", Style.User
            )
        elif self._echo:
            self._screen.labelled("you", _text(message), Style.User)
        self._prompted = True

    def _ended(self, reply: AssistantMessage) -> None:
        self._screen.end_flow()
        if reply.stop_reason is StopReason.Aborted:
            self._screen.labelled("", "[aborted]", Style.Bad, Style.Bad)
        elif reply.failed:
            self._screen.labelled("", "[failed]", Style.Bad, Style.Bad)

    def _worked(self, event: ToolExecutionStart | ToolExecutionUpdate | ToolExecutionEnd) -> None:
        symbols, name = self._screen.symbols, event.tool_name
        match event:
            case ToolExecutionStart(args=args):
                self._timed(f"{symbols.start} {name:<11} {_arguments(args)}", Style.Tool)
            case ToolExecutionUpdate(partial_result=partial):
                self._timed(f"{symbols.update} {name:<11} {partial.plain_text}", Style.Faint)
            case ToolExecutionEnd(result=result, is_error=is_error):
                style = Style.Bad if is_error else Style.Tool
                self._timed(f"{symbols.end} {name:<11} {result.plain_text}", style)

    def _timed(self, text: str, style: Style) -> None:
        self._screen.labelled(
            f"{trio.current_time() - self._began:4.1f} s", text.rstrip(), Style.Faint, style
        )

    def _ordered(self, results: Sequence[ToolResultMessage]) -> None:
        names = ", ".join(result.tool_name for result in results)
        self._screen.labelled("", f"results, in the order of the calls: {names}", Style.Faint, Style.Faint)


def _text(message: UserMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return " ".join(block.text for block in message.content if isinstance(block, TextContent))


def _arguments(arguments: object) -> str:
    if not isinstance(arguments, dict):
        return str(arguments)
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
