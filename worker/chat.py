"""One chat completion, from the claimed job to its terminal frame."""

import time
from contextlib import aclosing
from typing import Any

import orjson

from shared.errors import NotFound
from worker.answer import UpstreamAnswer
from worker.config.schema import ProviderConfig
from worker.discovery import configured_values
from worker.faults import UpstreamError, to_client
from worker.job import Job
from worker.providers.contract import ChatCall, Credential, Settings
from worker.state import WorkerState


async def run_chat(ctx: dict[str, Any], job: Job) -> None:
    """Answers `job`, or raises the GatewayError that the client gets."""
    state: WorkerState = ctx["state"]
    body = orjson.loads(job.envelope.body)
    provider, model = _choose(state, job.envelope.model)
    settings = Settings(
        provider.name,
        provider.base_url or provider.kind.default_base_url or "",
        provider.options,
        bool(provider.drop_params),
    )
    call = ChatCall(body, model, job.envelope.stream, f"chatcmpl-{job.envelope.request_id}", int(time.time()), settings)
    credential = (
        await configured_values(provider, provider.credentials[0]) if provider.credentials else Credential("none", {})
    )
    answer = UpstreamAnswer(
        state.upstream,
        provider.kind,
        call,
        credential,
        provider.timeouts,
        include_usage=job.envelope.include_usage,
        most_bytes=state.config.worker.max_answer_bytes,
        proxy=provider.proxy.get_secret_value() if provider.proxy else None,
    )
    about = {"provider": provider.name, "attempts": 1, "queue_ms": 0}
    try:
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                if not job.out.shown:
                    job.out.start(**about)
                if call.stream:
                    job.out.emit(piece)
                else:
                    job.out.result(piece)
                if job.out.full:
                    await job.out.drain()
            job.out.end(done=answer.done, usage=answer.usage)
    except UpstreamError as error:
        raise to_client(error) from error


def _choose(state: WorkerState, model: str) -> tuple[ProviderConfig, str]:
    prefix, _, rest = model.partition("/")
    for provider in state.config.providers:
        models = state.models(provider)
        if model in models or "*" in models:
            return provider, model
        if prefix == provider.label and rest in models:
            return provider, rest
    raise NotFound(f"The model '{model}' does not exist.", param="model")
