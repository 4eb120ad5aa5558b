"""What is asked of a proxy: written by the client without anything secret, and read by the server without trust."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from runtime.errors import InvalidOptionError, UnsupportedModelError
from runtime.values.checks import check_type
from runtime.values.context import Context
from runtime.values.message import is_llm_message
from runtime.values.model import Model, ModelRef
from runtime.values.options import SimpleStreamOptions, ThinkingBudgets
from runtime.values.secret import without_secrets
from runtime.values.text import Json, Text
from runtime.values.thinking import ThinkingLevel
from runtime.values.value import Value

MAX_REQUEST_BYTES = 32 << 20
"""How long a request may be, unless a server says otherwise."""
_SENT = (
    "temperature", "max_tokens", "reasoning", "thinking_budgets", "cache_retention", "session_id", "foreign_thinking",
    "metadata", "provider_options",
)  # fmt: skip
CLIENT_OPTIONS = frozenset(_SENT) - {"metadata", "provider_options"}
"""The options that a client may set, unless a server says otherwise. The other two that it can send speak to the provider
in the application's name: ``metadata`` says who asks, ``provider_options`` may choose a dearer tier of service."""
_BY_WIRE_NAME = {to_camel(name): name for name in _SENT}
_BUDGETS = tuple(item.name for item in fields(ThinkingBudgets))
_SHOWN_FAULTS = 3

FindModel = Callable[[ModelRef], Model | None]


# The client's half


def request_payload(model: Model, context: Context, options: SimpleStreamOptions) -> dict[str, Any]:
    """The body of a request. Keys, headers, user and query of the model's URL, and what no model reads stay here."""
    described = model.model_dump(mode="json", exclude={"headers"})
    return {
        "model": described | {"baseUrl": without_secrets(model.base_url)},
        "context": _said(context).model_dump(mode="json", exclude={"messages": {"__all__": {"details"}}}),
        "options": {name: value for name, value in _options(options).items() if value not in (None, {})},
    }


def _said(context: Context) -> Context:
    return context.model_copy(
        update={"messages": [message for message in context.messages if is_llm_message(message)]}
    )


def _options(options: SimpleStreamOptions) -> dict[str, Any]:
    sent = {wire_name: getattr(options, name) for wire_name, name in _BY_WIRE_NAME.items()}
    if options.reasoning is ThinkingLevel.Off:  # the same as none, and servers of pi know no word for it
        del sent["reasoning"]
    if options.foreign_thinking == "tagged":
        del sent["foreignThinking"]
    if (budgets := options.thinking_budgets) is not None:
        sent["thinkingBudgets"] = {name: getattr(budgets, name) for name in _BUDGETS}
    return sent


# The server's half


@dataclass(frozen=True)
class ProxyRequest:
    """What a client asks for, ready for ``stream_simple(request.model, request.context, request.options)``.

    ``ignored`` are the names of options, as the client wrote them, that it may not set here.
    """

    model: Model
    context: Context = field(repr=False)
    options: SimpleStreamOptions
    ignored: tuple[str, ...] = ()


class _Named(Value):
    id: Text
    provider: Text
    api: Text = ""


class _Body(Value):
    model_config = ConfigDict(hide_input_in_errors=True)

    model: _Named
    context: Context
    options: dict[str, Json] = Field(default_factory=dict)


def decode_request(
    body: bytes,
    find_model: FindModel,
    *,
    allow: Collection[str] = CLIENT_OPTIONS,
    max_bytes: int = MAX_REQUEST_BYTES,
) -> ProxyRequest:
    """Read the body of a client's request, trusting none of it. Pure; bound what you read before you have all of it.

    Of the model only its name counts: ``find_model(ref)`` gives the server's own model of that name, bound to a handle with
    its own endpoint and key, or None. ``allow`` names the options that the client may set, out of those that it can send
    (``CLIENT_OPTIONS``, ``metadata`` and ``provider_options``); ``dataclasses.replace(request.options, ...)`` sets the
    server's own. Neither endpoint, keys, headers, variables nor hooks can come from a client. The conversation is the
    client's own, and goes to the model as it is, signatures and items of the provider included.

    Raises InvalidOptionError for a body that is too long, or no such request, UnsupportedModelError where ``find_model``
    knows no such model: both say what is wrong in words that the client may read.
    """
    _check_allowed(allow)
    if len(body) > max_bytes:
        raise InvalidOptionError(f"the request has {len(body)} bytes, and may have {max_bytes}; send less")
    try:
        read = _Body.model_validate_json(body)
    except ValidationError as error:
        raise InvalidOptionError(f"this is no request to a model: {_faults(error)}") from None
    options, ignored = _allowed(read.options, allow)
    return ProxyRequest(_found(read.model, find_model), read.context, options, ignored)


def _check_allowed(allow: Collection[str]) -> None:
    if unknown := sorted(set(allow).difference(_SENT)):
        raise InvalidOptionError(
            f"allow has {', '.join(unknown)}, which no client can send; there are: {', '.join(_SENT)}"
        )


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [
        f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:_SHOWN_FAULTS]
    ]
    return "; ".join(shown) + (f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else "")


def _found(named: _Named, find_model: FindModel) -> Model:
    ref = ModelRef(provider_id=named.provider, api_id=named.api, id=named.id)
    model = find_model(ref)
    check_type("what find_model returned", model, Model | None)
    if model is None:
        raise UnsupportedModelError(f"there is no model {named.provider}/{named.id} here")
    return model


def _allowed(given: Mapping[str, Any], allow: Collection[str]) -> tuple[SimpleStreamOptions, tuple[str, ...]]:
    taken: dict[str, Any] = {}
    ignored: list[str] = []
    for wire_name, value in given.items():
        name = _BY_WIRE_NAME.get(wire_name)
        if name is None or name not in allow:
            ignored.append(wire_name)
        elif value is not None:
            taken[name] = _budgets(value) if name == "thinking_budgets" else value
    return SimpleStreamOptions(**taken), tuple(ignored)


def _budgets(value: Any) -> ThinkingBudgets:
    if not isinstance(value, dict):
        raise InvalidOptionError(f"thinkingBudgets must be an object, not {type(value).__name__}")
    return ThinkingBudgets(**{name: value.get(name) for name in _BUDGETS})
