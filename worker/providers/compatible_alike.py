"""Most chunks of a stream differ from the one before in their text alone: such a one need not be parsed.

What stands before the text and after it is compared; the text itself must be what JSON lets stand in a string as it is.
Then the chunk parses to the same as the one before, with this text in its place.
"""

from worker.providers.contract import JsonObject

_KEY = b'"content":'
_PATIENCE = 8
"""So many chunks may be learned in vain: some upstreams put something new into each."""


class Likeness:
    """The chunk before. `learn` from each that was parsed and passed on unchanged."""

    __slots__ = ("_after", "_before", "_patience")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._patience = _PATIENCE

    def forget(self) -> None:
        self._before = b""

    def learn(self, data: bytes, chunk: JsonObject) -> None:
        """`chunk` is what `data` parses to."""
        self._before = b""
        if not self._patience or len(chunk["choices"]) != 1 or chunk.get("usage"):
            return
        self._patience -= 1
        (choice,) = chunk["choices"]
        text = choice["delta"].get("content")
        if len(choice["delta"]) != 1 or not text or choice["finish_reason"] is not None or choice["index"] != 0:
            return
        _, key, rest = data.partition(_KEY)
        rest = rest.lstrip(b" ")
        written = b'"%b"' % text.encode()
        if key and rest.startswith(written) and _is_plain(text) and _KEY not in rest[len(written) :]:
            self._after = rest[len(written) - 1 :]
            self._before = data[: len(data) - len(self._after) - len(written) + 2]

    def text_of(self, data: bytes) -> str | None:
        """What it says, if it is alike in all else."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return None
        try:
            text = data[len(before) : -len(after)].decode()
        except UnicodeDecodeError:
            return None
        if not text or not _is_plain(text):
            return None
        self._patience = _PATIENCE
        return text


def _is_plain(text: str) -> bool:
    """Whether JSON may write it as it is."""
    return '"' not in text and "\\" not in text and text.isprintable()
