"""What all values have in common: frozen, compared by value, written as the JSON that pi and ai.rs read."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast, dataclass_transform

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails

_T = TypeVar("_T")
_CONSTRUCTING = object()
_set = object.__setattr__  # values are frozen

Count = Annotated[int, Field(strict=True, ge=0)]
"""A token count or a time stamp: a JSON integer, never a bool, a float or negative."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


@dataclass_transform(field_specifiers=(Field,), kw_only_default=False)
class Value(BaseModel):
    """A frozen value. Attributes are snake_case, the JSON is camelCase, constructors take both.

    Constructors also take positional arguments in the order of the fields. ``model_dump_json()`` and
    ``model_validate_json()`` need no arguments to write and read the shared transcript format. Keys that a
    value does not know are ignored when it is read; what it needs must be there (pydantic's
    ``ValidationError`` says what is not).
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )
    required_on_read: ClassVar[tuple[str, ...]] = ()
    """Fields that a constructor fills in, but that JSON must bring."""

    if not TYPE_CHECKING:  # type checkers see the constructor that dataclass_transform describes

        def __init__(self, /, *args: Any, **data: Any) -> None:
            if args:
                data.update(_positional(type(self), args, data))
            self.__pydantic_validator__.validate_python(data, self_instance=self, context=_CONSTRUCTING)

        # Not a custom constructor for pydantic: validation fills instances directly, as it does for BaseModel.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="wrap")
    @classmethod
    def _check_required(
        cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if cls.required_on_read and info.context is not _CONSTRUCTING and isinstance(data, Mapping):
            missing = [
                name for name in cls.required_on_read if name not in data and to_camel(name) not in data
            ]
            if missing:
                lines: list[InitErrorDetails] = [
                    {"type": "missing", "loc": (to_camel(n),), "input": None} for n in missing
                ]
                raise ValidationError.from_exception_data(cls.__name__, lines)
        return handler(data)

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """A value of parts that are valid already, by their names; what is left out has its default.

        Every event of a stream may want one: pydantic's own looks for aliases and defaults in each field every time.
        """
        plan = _plan(cls)
        if plan is None or not plan.required <= values.keys() <= plan.fields.keys():
            return super().model_construct(_fields_set, **values)
        fields = {**plan.fields, **values}  # in the order of the fields
        for name, make in plan.factories:
            if name not in values:
                fields[name] = make()
        value = cls.__new__(cls)
        _set(value, "__dict__", fields)
        _set(value, "__pydantic_fields_set__", set(values) if _fields_set is None else _fields_set)
        _set(value, "__pydantic_extra__", None)
        _set(value, "__pydantic_private__", None)
        return value

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Read JSON; lone surrogate escapes, which JavaScript writes, are joined or dropped."""
        return read_json(super().model_validate_json, cls.model_validate, json_data, **options)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if (
                name is None
                or name not in type(self).model_fields
                or value != type(self).model_fields[name].default
            ):
                yield name, value


def read_json(
    strict: Callable[..., _T], parsed: Callable[..., _T], data: str | bytes | bytearray, **options: Any
) -> _T:
    """Validate JSON text with ``strict``; where it holds lone surrogate escapes, parse it loosely and use ``parsed``."""
    try:
        return strict(data, **options)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise
        try:
            loose = json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise error from None
    return parsed(loose, **options)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _positional(cls: type[Value], args: tuple[Any, ...], data: dict[str, Any]) -> dict[str, Any]:
    names = _names(cls)
    if len(args) > len(names):
        raise TypeError(
            f"{cls.__name__}() takes at most {len(names)} positional arguments, {len(args)} given"
        )
    given = dict(zip(names, args, strict=False))
    for name in given if data else ():
        if name in data or to_camel(name) in data:
            raise TypeError(f"{cls.__name__}() got two values for {name}")
    return given


@dataclass(frozen=True)
class _Plan:
    """How values of one class are made: all fields with their defaults, those that are made anew, and those that must be given."""

    fields: Mapping[str, Any]
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    required: frozenset[str]


@cache
def _plan(cls: type[Value]) -> _Plan | None:
    """None where there is more to do, such as for private attributes."""
    fields = cls.model_fields
    if cls.__private_attributes__ or any(
        field.default_factory_takes_validated_data for field in fields.values()
    ):
        return None
    factories = {name: field.default_factory for name, field in fields.items() if field.default_factory}
    required = frozenset(name for name, field in fields.items() if field.is_required())
    return _Plan(
        {name: field.default for name, field in fields.items()},
        tuple(cast("dict[str, Callable[[], Any]]", factories).items()),
        required,
    )


@cache
def _names(cls: type[Value]) -> tuple[str, ...]:
    """The fields that a constructor takes, in order."""
    return tuple(name for name, field in cls.model_fields.items() if field.init is not False)


def is_none(value: object) -> bool:
    """For ``exclude_if``: such a key is absent, never null."""
    return value is None


def is_empty(value: object) -> bool:
    """For ``exclude_if``: such a key is absent when there is nothing in it."""
    return not value


def message_role(expected: str) -> BeforeValidator:
    """Validate a message's own role: absent and null are as good as right, another is refused by name."""

    def check(value: object) -> object:
        if value is not None and value != expected:
            raise ValueError(f"expected role {expected}, got {value}")
        return expected

    return BeforeValidator(check)
