"""Checked options and checked JSON documents: pydantic models, and the one place where its errors become our line.

A program's options are an `Options` whose fields are named and nested as in cfgs/<program>.yaml; a JSON file is a
`Document`, its parts are `Record`s. Both are strict: true is no integer, "2" is no number, numbers are finite. What an
option must be is said from its type:

    class Crpi(Options):
        alpha: Annotated[tuple[float, ...], BeforeValidator(as_tuple), expected("a number, a list, or grid")]
        mode: Literal["residual", "random"]
        select_episodes: Whole = Field(ge=1)

A validator of one field raises ValueError("must ..."), to which the option and its value are added; a validator of the
model, for options that contradict each other, raises ValueError with the whole line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from runtime.did_you_mean import did_you_mean
from runtime.errors import UserError
from runtime.files import atomic_write


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_tuple(value: Any) -> tuple[Any, ...]:
    """For options that take one value or a list of them."""
    return tuple(value) if isinstance(value, list) else (value,)


# An integer that may be written 1e6, as many people write a million.
Whole = Annotated[int, BeforeValidator(_whole)]


def expected(words: str) -> WithJsonSchema:
    """`Annotated[X, expected("a number or grid")]`: what X must be, where its type alone doesn't say it well."""
    return WithJsonSchema({"expected": words})


class Options(BaseModel):
    """The options of a program, or a group of them. Immutable."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Checks plain nested values. Raises UserError that names the first wrong option, its value and the remedy."""
        try:
            # As JSON, because there alone a strict tuple, path or group may be written as a list, text or dictionary.
            return cls.model_validate_json(json.dumps(values, default=str))
        except ValidationError as error:
            raise UserError(_option_line(cls.model_json_schema(), error, values)) from None


class Record(BaseModel):
    """A part of a JSON document. Its constructor raises pydantic's ValidationError, which is a ValueError.

    A field whose name Python keeps for itself: `return_: float = Field(validation_alias="return",
    serialization_alias="return")`.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, validate_by_name=True)

    def to_dict(self) -> dict[str, Any]:
        """The fields under their names in the file, parts as dictionaries."""
        return self.model_dump(by_alias=True)


class Document(Record):
    """A JSON file of one kind. A subclass names it in KIND and declares `version: Literal[N] = N`."""

    KIND: ClassVar[str]
    version: int

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Raises UserError that names the file and the first wrong field, or the version that was found."""
        try:
            # A named pipe would be waited for.
            if Path(path).exists() and not Path(path).is_file():
                raise ValueError("not a regular file")
            return cls.parse(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable {cls.KIND} ({error})") from None

    @classmethod
    def parse(cls, contents: bytes) -> Self:
        """Raises ValueError that names the first wrong field."""
        try:
            document = cls.model_validate_json(contents)
        except ValidationError as error:
            raise ValueError(_field_line(cls.model_json_schema(), error)) from None
        if "version" not in document.model_fields_set:
            raise ValueError("version: missing")
        return document

    def write(self, path: str | Path) -> None:
        """Writes the file, whole or not at all. Raises ValueError for what `read` would refuse."""
        contents = (json.dumps(self.to_dict() | {"version": self.version}, indent=1, allow_nan=False) + "\n").encode()
        self.parse(contents)
        atomic_write(path, contents)


def shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(shown(entry) for entry in value)}]"
    return str(value)


def _option_names(root: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every option of a model's JSON schema `root`, as written on the command line."""
    for name, entry in schema["properties"].items():
        inner = _resolve(root, entry)
        if "properties" in inner:
            yield from _option_names(root, inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _option_line(schema: Mapping[str, Any], error: ValidationError, values: Mapping[str, Any]) -> str:
    detail = _first(error)
    names, wanted = _place(schema, detail["loc"])
    option, value = ".".join(names), _value(values, names)
    if detail["type"] == "extra_forbidden":
        option = ".".join(str(part) for part in detail["loc"])
        hint = did_you_mean(option, _option_names(schema, schema))
        return f"{option}={shown(detail['input'])}: unknown option; {hint}".rstrip("; ")
    if detail["type"] == "missing":
        return f"{option}: missing from the configuration"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return message if "properties" in wanted else f"{option}={shown(value)}: {message}"
    if "properties" in wanted:
        inner = ", ".join(f"{option}.{name}" for name in wanted["properties"])
        return f"{option}={shown(value)}: {option} is a group of options: {inner}"
    hint = did_you_mean(str(value), _choices(wanted)) if len(_choices(wanted)) > 8 else ""
    return f"{option}={shown(value)}: {hint}must be {_expected(wanted)}"


def _field_line(schema: Mapping[str, Any], error: ValidationError) -> str:
    detail = _first(error)
    _, wanted = _place(schema, detail["loc"])
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    if detail["loc"] == ("version",) and "const" in wanted:
        return f"its version is {detail['input']}, this program reads version {wanted['const']}"
    if detail["type"] in ("value_error", "json_invalid"):
        return f"{where}: {detail['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    if detail["type"] in ("missing", "extra_forbidden"):
        return f"{where}: {'missing' if detail['type'] == 'missing' else 'unknown field'}"
    return f"{where or 'all of it'}: must be {_expected(wanted)}, is {detail['input']!r:.60}"


def _first(error: ValidationError) -> ErrorDetails:
    """What is reported: an unknown name before all else, since what then seems to be missing may be what was meant."""
    return min(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")


def _place(schema: Mapping[str, Any], loc: Sequence[int | str]) -> tuple[list[str], Mapping[str, Any]]:
    """The names that lead to an error's field, and the field's schema; `loc` also names the branches of unions."""
    names, place = [], schema
    for part in loc:
        place = _resolve(schema, place)
        if "properties" in place and part in place["properties"]:
            place = place["properties"][part]
            names.append(str(part))
        elif isinstance(part, int) and "items" in place:
            place = place["items"]
        elif isinstance(part, str) and isinstance(place.get("additionalProperties"), dict):
            place = place["additionalProperties"]
    return names, _resolve(schema, place)


def _resolve(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """`schema` itself, or what it refers to; of "a group or null" the group."""
    if "$ref" in schema:
        return root["$defs"][schema["$ref"].rpartition("/")[2]]
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    return _resolve(root, branches[0]) if len(branches) == 1 and {"$ref", "items"} & branches[0].keys() else schema


def _value(values: Any, names: Sequence[str]) -> Any:
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _choices(schema: Mapping[str, Any]) -> list[str]:
    inner = [choice for branch in schema.get("anyOf", ()) for choice in _choices(branch)]
    return [*inner, *map(str, schema.get("enum", ())), *([str(schema["const"])] if "const" in schema else [])]


def _expected(schema: Mapping[str, Any]) -> str:
    """In words, what a JSON schema asks for."""
    if "expected" in schema:
        return str(schema["expected"])
    if "anyOf" in schema:
        parts = [_expected(branch) for branch in schema["anyOf"] if branch.get("type") != "null"]
        return " or ".join([*parts, "null"] if len(parts) < len(schema["anyOf"]) else parts)
    if choices := _choices(schema):
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    kinds = {
        "boolean": "true or false",
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "array": "a list",
        "object": "a group of fields",
        "null": "null",
    }
    return kinds.get(schema.get("type", "object"), "another value") + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    # Constraints outside an Annotated type keep pydantic's names in the JSON schema.
    words = {
        ("minimum", "ge"): "of at least",
        ("maximum", "le"): "of at most",
        ("exclusiveMinimum", "gt"): "above",
        ("exclusiveMaximum", "lt"): "below",
    }
    given = {word: schema[name] for names, word in words.items() for name in names if name in schema}
    bounds = {word: str(bound).removesuffix(".0") for word, bound in given.items()}
    if bounds.keys() == {"of at least", "of at most"}:
        return " from {} to {}".format(*bounds.values())
    return " and".join(f" {word} {bound}" for word, bound in bounds.items())
