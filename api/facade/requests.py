"""What clients of the OpenAI API send: JSON or forms, read generously.

Fields that we do not know are left out; empty ones count as not sent.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from flask import request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import from_json, to_json
from werkzeug.exceptions import UnsupportedMediaType

from api.bodies import FORM_BYTES, expect_form, form_texts, json_body, parsed
from api.fields import Name, Prompt, Seconds
from api.schemas import ImageReference
from orchestrator.errors import InvalidRequest, Unsupported
from orchestrator.wishes import InputFile, VideoRequest

B = TypeVar("B", bound=BaseModel)

_NESTED = re.compile(r"(\w+)\[(\w+)\]\Z", re.ASCII)


def _given(value: Any) -> Any:
    return None if value == "" else value


def _object(value: Any) -> Any:
    """An object that a form has as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return from_json(value)
        except ValueError:
            return value
    return value


def _image(value: Any) -> Any:
    """An image as an object. In a form, a part without a filename is a text, whatever it holds."""
    value = _object(_given(value))
    if isinstance(value, str):
        raise ValueError(
            "must be a file, whose part of the form has a filename, or an object with image_url"
        )
    return value


def _reference(value: Any) -> Any:
    """A video named by its bare id."""
    value = _object(value)
    return {"id": value} if isinstance(value, str) else value


class Loose(BaseModel):
    """Takes what it knows and leaves the rest."""

    model_config = ConfigDict(extra="ignore", strict=True)


class OpenAIImage(Loose):
    """An image inside a JSON body, or in the fields `input_reference[…]` of a form."""

    image_url: str | None = Field(None, description="data:<type>;base64,<data>")
    file_id: str | None = Field(None, description="Not supported: there is no files API here.")

    def file(self) -> InputFile:
        """The image. Raises InvalidRequest or Unsupported for what cannot be one here."""
        if self.file_id is not None:
            raise Unsupported(
                "input_reference.file_id is not supported: send the image as a file, or its bytes "
                "as a data URL in image_url.",
                param="input_reference.file_id",
            )
        if self.image_url is None:
            raise InvalidRequest("input_reference must have an image_url.", param="input_reference")
        if self.image_url.startswith(("http://", "https://")):
            raise Unsupported(
                "input_reference.image_url is not fetched from elsewhere: send the image as a "
                "file, or its bytes as a data URL.",
                param="input_reference.image_url",
            )
        return ImageReference(image_url=self.image_url).file()


class OpenAIVideoReference(Loose):
    """A video that was made here."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=500)]


_OR_EMPTY = WithJsonSchema(
    {"anyOf": [{"type": "string", "maxLength": 255, "pattern": r"^[\w./:@-]*$"}, {"type": "null"}]}
)


class OpenAICreateVideo(Loose):
    """What `POST /v1/videos` takes."""

    prompt: Prompt
    model: Annotated[str | None, BeforeValidator(_given)] = None
    seconds: Annotated[Seconds | None, BeforeValidator(_given)] = None
    size: Annotated[str | None, BeforeValidator(_given)] = None
    quality: Annotated[Name | None, BeforeValidator(_given), _OR_EMPTY] = None
    input_reference: Annotated[OpenAIImage | None, BeforeValidator(_image)] = None

    def request(self, image: InputFile | None) -> VideoRequest:
        """The same for the use case. Raises InvalidRequest or Unsupported for its image."""
        if image is None and self.input_reference is not None:
            image = self.input_reference.file()
        return VideoRequest(
            prompt=self.prompt,
            model=self.model,
            seconds=self.seconds,
            size=self.size,
            quality=self.quality,
            input_reference=image,
        )


class OpenAIRemixVideo(Loose):
    """What `POST /v1/videos/{id}/remix` takes."""

    prompt: Prompt


class OpenAIEditVideo(Loose):
    """What `POST /v1/videos/edits` takes."""

    prompt: Prompt
    video: Annotated[OpenAIVideoReference, BeforeValidator(_reference)]


class OpenAIExtendVideo(OpenAIEditVideo):
    """What `POST /v1/videos/extensions` takes."""

    seconds: Seconds = Field(description="How much to add.")


class OpenAIListVideos(Loose):
    """Which page of the list."""

    model_config = ConfigDict(strict=False)

    after: str | None = Field(None, description="The `last_id` of the page before.")
    limit: Annotated[int, Field(ge=0, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


class OpenAIContent(Loose):
    """Which of the files of a video."""

    variant: Literal["video", "thumbnail", "spritesheet"] = "video"


def read(model: type[B]) -> B:
    """The body of this request, JSON or a form.

    Raises:
        InvalidRequest: it cannot be read, or breaks a rule of the model.
        UnsupportedMediaType: it is neither.
    """
    if request.mimetype == "application/json":
        return json_body(model, limit=FORM_BYTES)
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send application/json or multipart/form-data.")
    expect_form()
    return parsed(model, to_json(_fields(model)))


def image() -> InputFile | None:
    """The file `input_reference` of a form. Raises InvalidRequest if there are two."""
    uploads = request.files.getlist("input_reference")
    if not uploads:
        return None
    texts = [name for name, _ in form_texts() if name.startswith("input_reference")]
    if texts or len(uploads) > 1:
        raise InvalidRequest("input_reference was given more than once.", param="input_reference")
    return InputFile(uploads[0].stream.read(), uploads[0].filename or "input_reference")


def refuse_upload() -> None:
    """Raises Unsupported if the source of an edit or extension came as a file."""
    if request.mimetype != "multipart/form-data":
        return
    expect_form()
    if "video" in request.files:
        raise Unsupported(
            "Only a video that was made here can be edited or extended: name it as "
            'video: {"id": "…"}.',
            param="video",
        )


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a form that the model knows; `a[b]` is b of the object a."""
    fields: dict[str, Any] = {}
    for name, values in form_texts():
        nested = _NESTED.match(name)
        outer, inner = (nested[1], nested[2]) if nested else (name, None)
        if outer not in model.model_fields:
            continue
        place = fields if inner is None else fields.setdefault(outer, {})
        key = outer if inner is None else inner
        if len(values) > 1 or not isinstance(place, dict) or key in place:
            raise InvalidRequest(f"{outer} was given more than once.", param=outer)
        place[key] = values[0]
    return fields
