"""Reads what came with a request into the models that say what may come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar, cast

from flask import request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from orchestrator.errors import InvalidRequest
from orchestrator.wishes import InputFile

M = TypeVar("M", bound=BaseModel)

JSON_BYTES = 1024 * 1024
FORM_BYTES = 21 * 1024 * 1024
_FORM_PARTS = 32
_SHOWN_ERRORS = 20
_TEXTS_OF_JSON = frozenset({"metadata", "priority"})
_OUT_OF_BOUNDS = frozenset(
    {"greater_than_equal", "less_than_equal", "string_too_short", "string_too_long"}
)
_SUBJECT = re.compile(r"(?:Input|String|List|Tuple|Dictionary|Value|Object) should ")


class InvalidFields(InvalidRequest):
    """Some fields of the request break their rules."""

    def __init__(self, found: list[tuple[str, str, str]]):
        param, message, code = found[0]
        super().__init__(message, param=param or None, code=code)
        self.found = found

    @property
    def extra(self) -> dict[str, Any]:
        """`errors`: every field that is wrong, not only the first."""
        return {
            "errors": [
                {"param": param, "message": text, "code": code} for param, text, code in self.found
            ]
        }


def json_body(model: type[M], *, limit: int = JSON_BYTES) -> M:
    """The JSON body of this request, of at most `limit` bytes.

    Raises:
        InvalidRequest: it is no JSON, or breaks a rule of the model.
        UnsupportedMediaType: it says that it is something else.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    # A body without announced length is cut at the limit: one byte more tells that from its end.
    request.max_content_length = limit + 1
    body = request.get_data(cache=False)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return parsed(model, body)


def form_or_json(model: type[M], *, file: str) -> tuple[M, InputFile | None]:
    """The body as JSON or as a form, and the file that a form may bring in the field `file`.

    Raises:
        InvalidRequest, UnsupportedMediaType: as for `json_body`.
    """
    if request.mimetype != "multipart/form-data":
        if request.mimetype != "application/json":
            raise UnsupportedMediaType("Send application/json or multipart/form-data.")
        return json_body(model), None
    expect_form()
    uploads = request.files
    for name in uploads:
        if name != file or len(uploads.getlist(name)) > 1:
            raise InvalidRequest(f"Only one file can be sent, as {file}.", param=name)
    upload = uploads.get(file)
    image = None if upload is None else InputFile(upload.stream.read(), upload.filename or file)
    if image is not None and file in request.form:
        raise InvalidRequest(f"{file} was given more than once.", param=file)
    # One set of rules for both encodings: a form becomes the JSON that says the same.
    return parsed(model, to_json(_form_fields())), image


def expect_form() -> None:
    """Set how much a form may bring, before anybody reads it."""
    request.max_content_length = FORM_BYTES
    request.max_form_parts = _FORM_PARTS


def query(model: type[M]) -> M:
    """The query string of this request. A list may be repeated or joined by commas. A model that
    is not closed leaves out what it does not know.

    Raises:
        InvalidRequest: a parameter is unknown, doubled or breaks its rule.
    """
    given: dict[str, str] = {}
    closed = model.model_config.get("extra") == "forbid"
    for name, values in request.args.lists():
        if not closed and name not in model.model_fields:
            continue
        if len(values) > 1 and _properties(model).get(name, {}).get("type") != "array":
            raise InvalidRequest(f"{name} was given more than once.", param=name)
        given[name] = ",".join(values)
    try:
        return cast(M, _adapter(model).validate_strings(given))
    except ValidationError as error:
        raise _explained(error, model) from None


def form_texts() -> Iterator[tuple[str, list[str]]]:
    """The names in the form of this request, each with its texts. What has no name has none here
    either; to Werkzeug it is None.
    """
    for name, values in request.form.lists():
        yield name or "", values


def _form_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, values in form_texts():
        if len(values) > 1:
            raise InvalidRequest(f"{name} was given more than once.", param=name)
        fields[name] = _from_text(values[0]) if name in _TEXTS_OF_JSON else values[0]
    return fields


def _from_text(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def parsed(model: type[M], body: bytes) -> M:
    """What this JSON says.

    Raises:
        InvalidRequest: it is no JSON, or breaks a rule of the model.
    """
    try:
        return cast(M, _adapter(model).validate_json(body))
    except ValidationError as error:
        raise _explained(error, model) from None


@cache
def _adapter(model: type[BaseModel]) -> TypeAdapter[BaseModel]:
    return TypeAdapter(model)


@cache
def _properties(model: type[BaseModel]) -> dict[str, Any]:
    return dict(model.model_json_schema()["properties"])


def _explained(error: ValidationError, model: type[BaseModel]) -> InvalidFields:
    details = error.errors(include_url=False, include_input=False, include_context=True)
    return InvalidFields([_explain(detail, model) for detail in details[:_SHOWN_ERRORS]])


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, str]:
    """(param, message, code) of one finding, in our words: the field, and what it may be."""
    param = ".".join(part for part in detail["loc"] if isinstance(part, str))
    kind, text = detail["type"], detail["msg"]
    if kind == "json_invalid":
        reason = detail.get("ctx", {}).get("error", "")
        return "", f"The body is not valid JSON: {reason}.", "invalid_json"
    if kind == "missing":
        return param, f"{param} is required.", "missing_field"
    if kind == "extra_forbidden":
        allowed = ", ".join(_siblings(detail["loc"], model))
        return param, f"{param} is not known here; it takes {allowed}.", "unknown_field"
    if kind == "model_type":
        return param, f"{param or 'The body'} must be a JSON object.", "invalid_value"
    if kind == "value_error":
        return (
            param,
            f"{param or 'The request'} {text.removeprefix('Value error, ')}.",
            "invalid_value",
        )
    rule = _bounds(param, model) if kind in _OUT_OF_BOUNDS else ""
    return param, f"{param} {rule or _SUBJECT.sub('must ', text, count=1)}.", "invalid_value"


def _bounds(param: str, model: type[BaseModel]) -> str:
    """Both ends of what a field may be; "" if it has not got both."""
    schema = _properties(model).get(param, {})
    for part in (schema, *schema.get("anyOf", ())):
        if {"minimum", "maximum"} <= part.keys():
            return f"must be from {part['minimum']:.15g} to {part['maximum']:.15g}"
        if {"minLength", "maxLength"} <= part.keys():
            return f"must have {part['minLength']} to {part['maxLength']} characters"
    return ""


def _siblings(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The fields that are allowed where an unknown one was found."""
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        inner = (
            [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        )
        found = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            return []
        model = found[0]
    return list(model.model_fields)
