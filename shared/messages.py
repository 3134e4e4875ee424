"""The messages of a chat completion request and their content parts, as OpenAI's published schema has them."""

from typing import Annotated, Literal, Required, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

T = TypeVar("T")
# One complaint at a time: a body of a million faults must not become a million errors.
Items = Annotated[list[T], Field(fail_fast=True)]
Parts = Annotated[list[T], Field(fail_fast=True, min_length=1)]


class Identified(TypedDict):
    id: str


class CacheBreakpoint(TypedDict, total=False):
    mode: Required[Literal["explicit"]]
    ttl: Literal["30m", "12h"]


class TextPart(TypedDict, total=False):
    type: Required[Literal["text"]]
    text: Required[str]
    prompt_cache_breakpoint: CacheBreakpoint


class RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(TypedDict, total=False):
    url: Required[str]
    detail: Literal["auto", "low", "high", "original"]


class ImagePart(TypedDict, total=False):
    type: Required[Literal["image_url"]]
    image_url: Required[ImageUrl]
    prompt_cache_breakpoint: CacheBreakpoint


class InputAudio(TypedDict):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(TypedDict, total=False):
    type: Required[Literal["input_audio"]]
    input_audio: Required[InputAudio]
    prompt_cache_breakpoint: CacheBreakpoint


class File(TypedDict, total=False):
    file_data: str
    file_id: str
    filename: str


class FilePart(TypedDict, total=False):
    type: Required[Literal["file"]]
    file: Required[File]
    prompt_cache_breakpoint: CacheBreakpoint


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class DeveloperMessage(TypedDict, total=False):
    role: Required[Literal["developer", "system"]]
    content: Required[str | Parts[TextPart]]
    name: str


class UserMessage(TypedDict, total=False):
    role: Required[Literal["user"]]
    content: Required[str | Parts[UserPart]]
    name: str


class Function(TypedDict):
    name: str
    arguments: str


class FunctionCall(TypedDict):
    id: str
    type: Literal["function"]
    function: Function


class CustomCallInput(TypedDict):
    name: str
    input: str


class CustomCall(TypedDict):
    id: str
    type: Literal["custom"]
    custom: CustomCallInput


ToolCall = Annotated[FunctionCall | CustomCall, Field(discriminator="type")]


class AssistantMessage(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: str | Parts[AssistantPart] | None
    name: str
    refusal: str | None
    audio: Identified | None
    tool_calls: Items[ToolCall]
    function_call: Function | None


class ToolMessage(TypedDict):
    role: Literal["tool"]
    content: str | Parts[TextPart]
    tool_call_id: str


class FunctionMessage(TypedDict):
    role: Literal["function"]
    content: str | None
    name: str


Message = Annotated[
    DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]
