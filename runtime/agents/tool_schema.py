"""The JSON Schema of a tool's arguments: checked when the tool is made, then asked as often as wanted.

The ``jsonschema`` package validates, by the schema's own ``$schema``. References are followed inside the
schema only: nothing is ever fetched. Patterns run on an engine of linear time; only those that it cannot
express (look-around, back-references) run on ``re``.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from runtime.errors import ToolDefinitionError
from runtime.values.text import parse_json

if TYPE_CHECKING:
    from jsonschema import ValidationError

_verdicts: Final[ContextVar[dict[tuple[int, int], tuple[Any, bool]]]] = ContextVar("verdicts")


@contextmanager
def one_validation() -> Iterator[None]:
    """Within this, a value is tried only once against each alternative.

    Unions of recursive types then cost what the value holds, not a power of its depth. All that a ToolSchema
    is asked must be asked within one of these.
    """
    token = _verdicts.set({})
    try:
        yield
    finally:
        _verdicts.reset(token)


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """A schema within a document, and the place from which its references are resolved."""

    contents: Any
    resolver: Any
    specification: Any

    def inner(self, contents: Any) -> "SchemaNode":
        """A schema that is written inside this one; whatever is none accepts everything."""
        if not isinstance(contents, dict):
            return SchemaNode(contents is not False, self.resolver, self.specification)
        resource = self.specification.create_resource(contents)
        return SchemaNode(contents, self.resolver.in_subresource(resource), self.specification)

    def members(self, keyword: str) -> "list[SchemaNode]":
        """The schemas in a list, such as that of ``anyOf``."""
        members = self.contents.get(keyword)
        return [self.inner(member) for member in members] if isinstance(members, list) else []

    def references(self) -> "Iterator[SchemaNode]":
        """The schemas that this one refers to."""
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in self.contents:
                yield self._referred(self.contents[keyword])

    def _referred(self, reference: Any) -> "SchemaNode":
        from referencing.exceptions import Unresolvable

        if not isinstance(reference, str):  # the metaschema of draft-04 does not say so
            raise ToolDefinitionError(f"a reference must be a string, not {reference!r}")
        try:
            found = self.resolver.lookup(reference)
        except Unresolvable as error:
            raise ToolDefinitionError(f"{reference!r} refers to nothing inside the schema") from error
        return SchemaNode(found.contents, found.resolver, self.specification)

    def parts(self) -> "Iterator[SchemaNode]":
        """All schemas that are written directly inside this one."""
        return map(self.inner, self.specification.subresources_of(self.contents))

    def in_place(self) -> "Iterator[SchemaNode]":
        """The schemas that apply to the same value as this one."""
        yield from self.references()
        for keyword in ("allOf", "anyOf", "oneOf"):
            yield from self.members(keyword)
        yield from (self.inner(self.contents.get(keyword)) for keyword in ("not", "if", "then", "else"))
        for keyword in ("dependentSchemas", "dependencies"):
            dependent = self.contents.get(keyword)
            yield from map(self.inner, dependent.values() if isinstance(dependent, dict) else ())


class ToolSchema:
    """A compiled schema.

    Without a ``$schema`` it is read as draft 2020-12, or as draft-07 where only that allows it. Raises
    ToolDefinitionError for what is no valid JSON Schema, has a pattern that does not compile, or refers to
    something outside itself or, without end, to itself.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        from referencing import Registry
        from referencing.jsonschema import specification_with

        # Without its $schema: a reference back to the root would switch to the plain dialect there.
        contents = {keyword: value for keyword, value in parameters.items() if keyword != "$schema"}
        dialect = _dialect_of(parameters.get("$schema"), contents)
        specification = specification_with(dialect.ID_OF(dialect.META_SCHEMA))
        registry: Registry[Any] = Registry()
        resolver = registry.resolver_with_root(specification.create_resource(contents))
        self.root = SchemaNode(contents, resolver, specification)
        _Check(dialect).whole(self.root)
        self._validator = _stricter(dialect)(contents, registry=registry)

    def errors(self, value: Any) -> "Iterator[ValidationError]":
        """What is wrong with a value, in the order of the schema."""
        return iter(self._validator.iter_errors(value))

    def fits(self, value: Any, node: SchemaNode) -> bool:
        """Whether a value is valid by a part of this schema."""
        return _accepts(self._validator, value, node.contents, node.resolver)


@lru_cache(maxsize=128)
def compile_schema(parameters: str) -> ToolSchema:
    """The ToolSchema of a JSON text, kept for the next tool that has the same."""
    try:
        return ToolSchema(parse_json(parameters))
    except RecursionError:
        raise ToolDefinitionError("the schema nests too deeply") from None


def own_schemas(contents: dict[str, Any], name: str) -> list[Any]:
    """What an object's schema says of a member by its name, as opposed to ``additionalProperties``."""
    patterns = contents.get("patternProperties", {})
    matching = [patterns[pattern] for pattern in patterns if _searcher(pattern)(name)]
    named = contents.get("properties", {})
    return [named[name], *matching] if name in named else matching


# Whether a schema is right.


def _dialect_of(uri: Any, contents: dict[str, Any]) -> Any:
    from jsonschema import Draft3Validator, Draft7Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    if not isinstance(uri, str | None):
        raise ToolDefinitionError("$schema must be a string")
    declared: Any = validator_for({"$schema": uri or ""}, default=None)  # type: ignore[arg-type]
    if declared is Draft3Validator:
        raise ToolDefinitionError("draft-03 is too old; use draft-04 or later")
    faults = []
    for dialect in [declared] if declared else [Draft202012Validator, Draft7Validator]:
        fault = _fault(dialect, contents)
        if not fault:
            return dialect
        faults.append(fault)
    raise ToolDefinitionError(faults[0])


def _fault(dialect: Any, contents: Any) -> str:
    from jsonschema import SchemaError as InvalidSchema

    try:
        dialect.check_schema(contents, format_checker=None)
    except InvalidSchema as error:
        return f"{error.json_path[:200]}: {error.message[:300]}"
    return ""


class _Check:
    """Checks the patterns and references of a schema and of all that it leads to."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._seen: set[int] = set()
        self._ending: set[int] = set()

    def whole(self, root: SchemaNode) -> None:
        waiting, checked = [root], []
        while waiting:
            node = waiting.pop()
            if isinstance(node.contents, dict) and id(node.contents) not in self._seen:
                self._seen.add(id(node.contents))
                _check_patterns(node.contents)
                waiting += self._references(node)
                waiting += node.parts()
                checked.append(node)
        for node in checked:
            self._refuse_loops(node, frozenset())

    def _references(self, node: SchemaNode) -> list[SchemaNode]:
        unseen = [target for target in node.references() if id(target.contents) not in self._seen]
        for target in unseen:  # it may lie where the metaschema does not look
            if fault := _fault(self._dialect, target.contents):
                raise ToolDefinitionError(fault)
        return unseen

    def _refuse_loops(self, node: SchemaNode, above: frozenset[int]) -> None:
        """Refuse a schema that leads back to itself for the same value: no validation would end."""
        place = id(node.contents)
        if place in above:
            raise ToolDefinitionError("a reference leads back to itself without end")
        if isinstance(node.contents, dict) and place not in self._ending:
            for inner in node.in_place():
                self._refuse_loops(inner, above | {place})
            self._ending.add(place)


def _check_patterns(contents: dict[str, Any]) -> None:
    try:
        if "pattern" in contents:
            _searcher(contents["pattern"])
        for pattern in contents.get("patternProperties", ()):
            re.compile(pattern)  # unevaluatedProperties has no other engine
    except (re.error, OverflowError) as error:
        raise ToolDefinitionError(f"invalid regex pattern: {error}") from error


@lru_cache(maxsize=256)
def _searcher(pattern: str) -> Callable[[str], object]:
    """Looks for a pattern anywhere in a text."""
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    except SchemaError:
        return re.compile(pattern).search


# How we have jsonschema differ from itself.


@lru_cache(maxsize=8)
def _stricter(dialect: Any) -> Any:
    """The dialect with integers that are integers, linear time, and one error for each argument."""
    from jsonschema.validators import extend

    ours = {
        "anyOf": _any_of,
        "oneOf": _one_of,
        "properties": _properties,
        "patternProperties": _pattern_properties,
        "required": _required,
        "additionalProperties": _additional_properties,
        "pattern": _pattern,
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
    }
    types = dialect.TYPE_CHECKER.redefine("integer", lambda _checker, value: _is_number(value, int))
    return extend(dialect, ours, type_checker=types)  # type: ignore[no-untyped-call]


def _accepts(validator: Any, value: Any, schema: Any, resolver: Any = None) -> bool:
    known, question = _verdicts.get(), (id(value), id(schema))
    if question not in known:
        fits = next(validator.descend(value, schema, resolver=resolver), None) is None
        known[question] = value, fits  # with the value, so that nothing else gets its id
    return known[question][1]


def _error(message: str, path: Iterable[str] = ()) -> "ValidationError":
    from jsonschema import ValidationError

    return ValidationError(message, path=path)


def _any_of(validator: Any, members: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if not any(_accepts(validator, value, member) for member in members):
        yield _error("fits none")


def _one_of(validator: Any, members: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if sum(_accepts(validator, value, member) for member in members) != 1:
        yield _error("fits none or several")


def _properties(validator: Any, properties: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if isinstance(value, dict):
        for name in [name for name in properties if name in value]:
            yield from _member_errors(validator, name, value[name], properties[name])


def _member_errors(validator: Any, name: str, value: Any, schema: Any) -> "Iterator[ValidationError]":
    if schema is False:  # jsonschema would not say where
        yield _error("unexpected property", [name])
    else:
        yield from validator.descend(value, schema, path=name, schema_path=name)


def _pattern_properties(
    validator: Any, patterns: Any, value: Any, _schema: Any
) -> "Iterator[ValidationError]":
    if isinstance(value, dict):
        for pattern, schema in patterns.items():
            for name in filter(_searcher(pattern), value):
                yield from _member_errors(validator, name, value[name], schema)


def _required(_validator: Any, names: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if isinstance(value, dict):
        yield from (_error("missing required property", [name]) for name in names if name not in value)


def _additional_properties(
    validator: Any, allowed: Any, value: Any, schema: Any
) -> "Iterator[ValidationError]":
    if isinstance(value, dict):
        for name in [name for name in value if not own_schemas(schema, name)]:
            yield from _member_errors(validator, name, value[name], allowed)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if isinstance(value, str) and not _searcher(pattern)(value):
        yield _error("does not match")


def _unique_items(_validator: Any, wanted: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if wanted and isinstance(value, list) and len({_identity(item) for item in value}) < len(value):
        yield _error("has equal items")


def _multiple_of(_validator: Any, divisor: Any, value: Any, _schema: Any) -> "Iterator[ValidationError]":
    if _is_number(value, (int, float)) and not _is_multiple(value, divisor):
        yield _error("is no multiple")


def _is_number(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_multiple(value: float, divisor: float) -> bool:
    """As near as floats come: 0.3 is a multiple of 0.1."""
    if isinstance(value, int) and isinstance(divisor, int):
        return value % divisor == 0
    try:
        quotient = value / divisor
        return abs(quotient - round(quotient)) <= 1e-9
    except OverflowError:  # too large to have a fraction
        return True


def _identity(value: Any) -> Hashable:
    """Equal for equal JSON: 1 is 1.0, and true is neither."""
    if isinstance(value, dict):
        return frozenset((key, _identity(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_identity, value))
    return isinstance(value, bool), value
