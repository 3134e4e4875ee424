"""Images, sounds and files inside a user's message, for dialects that want bytes and media types apart."""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from shared.errors import InvalidRequest
from worker.providers.fields import refusal

_DATA_URL: Final = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^,]*)?),", re.IGNORECASE)
_BY_EXTENSION: Final[Mapping[str, str]] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "csv": "text/csv", "html": "text/html", "json": "application/json", "xml": "text/xml", "mp3": "audio/mp3",
    "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp4": "video/mp4", "mov": "video/mov",
    "webm": "video/webm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Media:
    """Either `data` (base64) with its `media_type`, or a `url` or upstream `file_id` whose type may be unknown ("")."""

    media_type: str = ""
    data: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    file_id: str | None = None
    name: str = ""

    def text(self, path: str) -> str:
        """The bytes of `data` as text. Raises InvalidRequest naming `path` for what is no base64 of UTF-8."""
        try:
            return b64decode(self.data or "").decode()
        except ValueError:
            raise InvalidRequest(f"'{path}' must hold a text in UTF-8, in base64.", param=path) from None


def read_media(part: Mapping[str, Any], path: str, upstream: str) -> Media:
    """What an `image_url`, `input_audio` or `file` part holds. Raises InvalidRequest naming `path`."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _from_url(url, path)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return Media(f"audio/{kind}", data)
        case {"type": "file", "file": {"file_data": str(url), **about}} if url:
            media = _from_url(url, path)
            return Media(media.media_type, media.data, media.url, name=str(about.get("filename") or ""))
        case {"type": "file", "file": {"file_id": str(file_id), **about}}:
            name = str(about.get("filename") or "")
            return Media(type_of(name), file_id=file_id, name=name)
    raise refusal(path, upstream, f"it has nothing like {part.get('type')!r}")


def type_of(name: str) -> str:
    """The media type that a file name or the path of a URL tells, "" where it tells none."""
    try:
        path = urlsplit(name).path
    except ValueError:
        return ""
    return _BY_EXTENSION.get(path.rpartition(".")[2].lower(), "")


def _from_url(url: str, path: str) -> Media:
    found = _DATA_URL.match(url)
    if found is None:
        if not url.lower().startswith(("https://", "http://")):
            raise InvalidRequest(f"'{path}' must hold an http, https or data: URL.", param=path)
        return Media(type_of(url), url=url)
    content = url[found.end() :]
    if "base64" not in found["parameters"].lower():
        content = b64encode(unquote_to_bytes(content)).decode()
    media_type = found["type"].lower() or "text/plain"
    return Media("image/jpeg" if media_type == "image/jpg" else media_type, content)
