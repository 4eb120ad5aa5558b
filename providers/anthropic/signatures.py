"""What a block says beyond its content, kept in its signature: JSON of an object.

Text may have citations, and a tool call may come from a server-side tool. The provider wants both back, and a signature
is what goes back to nobody else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from providers.loose_json import rewritten_json
from runtime.values.text import parse_json

CITATIONS = "citations"
CALL_FIELDS = ("caller", "toolset_name")
_SAYS_NOTHING: tuple[Any, ...] = (None, [], {"type": "direct"})


def write_fields(block: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The named fields of a block of the wire, as far as they say something; None if none does."""
    said = {name: block[name] for name in names if block.get(name) not in _SAYS_NOTHING}
    return rewritten_json(said) if said else None


def read_citations(signature: str | None) -> dict[str, Any]:
    """The citations that a signature holds, as the provider takes them: it tells the id of a file, and refuses to be told."""
    match read_fields(signature, (CITATIONS,)):
        case {"citations": list(citations)}:
            return {CITATIONS: [_without_file(citation) for citation in citations]}
        case fields:
            return fields


def _without_file(citation: Any) -> Any:
    if not isinstance(citation, dict):
        return citation
    return {name: value for name, value in citation.items() if name != "file_id"}


def read_fields(signature: str | None, names: Iterable[str]) -> dict[str, Any]:
    """The named fields that a signature holds; nothing for signatures of another kind."""
    if not signature or not signature.startswith("{"):
        return {}
    try:
        fields = parse_json(signature)
    except ValueError:
        return {}
    return {name: fields[name] for name in names if name in fields}
