"""`python -m tests.providers.record <type>/<case>...` writes the golden files that a case lacks, as the code has it.

It saves typing, not thinking: every file must be read against the upstream's documentation before it is committed.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.providers.cases import FOLDER, STREAMS, Case, as_golden
from worker.joining import join
from worker.providers.contract import Answer, LocalProvider


def record(case: Case) -> None:
    if isinstance(case.provider, LocalProvider):
        chunks = list(case.provider.local_answer(case.call()))
        _write(case, "chunks.json", [chunk.data for chunk in chunks])
        _write(case, "completion.json", join(chunks))
        return
    for stream, prefix in ((False, ""), (True, "stream_")):
        if case.path(f"{prefix}exchange.json") is None:
            step = next(case.provider.exchange(case.call(stream=stream), case.credential))
            if isinstance(step, Answer):
                _write(case, f"{prefix}request.json", as_golden(step.request))
    answer = case.path("response.json", "response.txt")
    if answer:
        _write(case, "completion.json", case.provider.parse_response(case.call(), answer.read_bytes()))
    if case.path(*STREAMS):
        chunks = case.mapped(case.stream_parts)
        _write(case, "chunks.json", [chunk.data for chunk in chunks])
        if case.path("completion.json") is None:
            _write(case, "completion.json", join(chunks))


def _write(case: Case, name: str, data: Any) -> None:
    if case.path(name) is None or (name.endswith("request.json") and not (case.folder / name).exists()):
        (case.folder / name).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        sys.stdout.write(f"wrote {Path(case.name) / name}\n")


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        record(Case(FOLDER / wanted))
