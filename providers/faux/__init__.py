"""A scripted provider for tests and demonstrations: replies, tool calls, faults and delays to order."""

from .provider import FauxCall, FauxProvider, register_faux_provider
from .script import (
    FauxFactory,
    FauxFault,
    FauxReply,
    FauxState,
    FauxStep,
    faux_assistant_message,
    faux_delayed,
    faux_failure,
    faux_fault,
    faux_text,
    faux_thinking,
    faux_tool_call,
)

__all__ = [
    "FauxCall",
    "FauxFactory",
    "FauxFault",
    "FauxProvider",
    "FauxReply",
    "FauxState",
    "FauxStep",
    "faux_assistant_message",
    "faux_delayed",
    "faux_failure",
    "faux_fault",
    "faux_text",
    "faux_thinking",
    "faux_tool_call",
    "register_faux_provider",
]
