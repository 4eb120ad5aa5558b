"""How a Responses endpoint behaves, with every flag decided, and what OpenAI's own models are known to take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from runtime.values.compat import ModelCompat, SessionAffinityFormat
from runtime.values.model import Model

from .session import affinity_format

_GENERATION = re.compile(r"gpt-(\d{1,9})(?=[.-]|\Z)")
_GRAMMAR_SINCE = 5
_TOOL_SEARCH = frozenset({
    "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-pro", "gpt-5.5", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna",
})  # fmt: skip
_LEGACY_AFFINITY: Mapping[bool, SessionAffinityFormat] = {True: "openai", False: "openai-nosession"}


@dataclass(frozen=True, kw_only=True)
class ResponsesCompat:
    """The flags of ``ModelCompat`` that this API reads; the defaults are what any endpoint takes."""

    supports_developer_role: bool = True
    session_affinity_format: SessionAffinityFormat = "openai"
    supports_long_cache_retention: bool = True
    supports_explicit_prompt_cache_mode: bool = False
    supports_strict_mode: bool = False
    supports_openai_grammar_tools: bool = False
    supports_tool_search: bool = False


def responses_compat(model: Model) -> ResponsesCompat:
    """What the model declares over the defaults. The older flag for session headers counts where the newer one is not set."""
    declared = {item.name: getattr(model.compat, item.name) for item in fields(ResponsesCompat)}
    legacy = model.compat.send_session_id_header
    if model.compat.session_affinity_format is None and legacy is not None:
        declared["session_affinity_format"] = _LEGACY_AFFINITY[legacy]
    else:
        declared["session_affinity_format"] = affinity_format(model)
    return ResponsesCompat(**{name: value for name, value in declared.items() if value is not None})


def openai_presets(provider_id: str, model_id: str) -> ModelCompat:
    """What a model of OpenAI's takes, by its id: strict schemas, from GPT-5 on grammars, and a few models tool search."""
    flags = {"supports_strict_mode": True}
    if takes_grammars(model_id):
        flags["supports_openai_grammar_tools"] = True
    if provider_id == "openai" and model_id in _TOOL_SEARCH:
        flags["supports_tool_search"] = True
    return ModelCompat.model_validate(flags)


def takes_grammars(model_id: str) -> bool:
    """Whether a model of OpenAI's, wherever it is, takes tools whose input follows a grammar."""
    generation = _GENERATION.match(model_id)
    return generation is not None and int(generation[1]) >= _GRAMMAR_SINCE
