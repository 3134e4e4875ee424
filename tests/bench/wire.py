"""What upstream and load generator agree on: how a token is written, and so how it is checked.

Token i of an answer is `<nonce>:<i>@<us><filler>`: the nonce is the request's own, us the monotonic clock when it was
written, which all processes of one machine share. No lost, doubled, moved or foreign token passes for the right one.
"""

import time

FILLERS = (" alpha", ' be"ta', " caf\u00e9", " del\nta", " \u4f60\u597d", " <b>&", " \U0001f600", " {}[]\t")


def now_us() -> int:
    return time.monotonic_ns() // 1000


def filler(index: int) -> str:
    return FILLERS[index % len(FILLERS)]


def written_at(token: str, nonce: str, index: int) -> int:
    """When the token was written, us. Raises ValueError if it is not the one that belongs there."""
    prefix, end = f"{nonce}:{index}@", filler(index)
    if not (token.startswith(prefix) and token.endswith(end)):
        raise ValueError(f"{token!r} where {prefix} belongs")
    return int(token[len(prefix) : -len(end)])


def check_text(text: str, nonce: str, tokens: int) -> None:
    """A whole answer. Raises ValueError at the first token that is not the right one, or for more or fewer."""
    at = 0
    for index in range(tokens):
        end = filler(index)
        stop = text.find(end, at) + len(end)
        if stop < len(end):
            raise ValueError(f"token {index} is missing")
        written_at(text[at:stop], nonce, index)
        at = stop
    if at != len(text):
        raise ValueError("more text than tokens")
