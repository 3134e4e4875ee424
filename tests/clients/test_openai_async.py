"""The same SDK on an event loop, with many calls at once."""

import asyncio
from typing import Any

import openai
import pytest

from tests.clients.conftest import Gateway
from tests.clients.test_openai_sync import ECHO_TOOL, SAID


async def ask(client: openai.AsyncOpenAI, model: str = "echo", said: str = SAID, **options: Any) -> Any:
    return await client.chat.completions.create(model=model, messages=[{"role": "user", "content": said}], **options)


async def joined(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_a_plain_and_a_streamed_answer(gateway: Gateway) -> None:
    async with gateway.async_client() as client:
        assert (await ask(client)).choices[0].message.content == SAID
        assert await joined(await ask(client, stream=True)) == SAID


async def test_forty_streams_at_once_get_each_its_own(gateway: Gateway) -> None:
    async with gateway.async_client() as client:

        async def one(number: int) -> None:
            nonce = f"forty-{number}"
            text = await joined(await ask(client, "num-n20-g5", nonce, stream=True))
            assert text.split() == [f"{nonce}:{index}" for index in range(20)]

        await asyncio.gather(*(one(number) for number in range(40)))


async def test_a_streamed_tool_call(gateway: Gateway) -> None:
    async with gateway.async_client() as client:
        arguments = ""
        async for chunk in await ask(client, "echo-tool", "remember me", stream=True, tools=[ECHO_TOOL]):
            for call in chunk.choices[0].delta.tool_calls or ():
                arguments += call.function.arguments
        assert arguments == '{"text":"remember me","times":1}'


async def test_an_error_is_raised_before_the_stream_begins(gateway: Gateway) -> None:
    async with gateway.async_client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await ask(client, "echo-error", "overloaded", stream=True)
        assert caught.value.code == "overloaded"


async def test_a_cancelled_task_ends_the_call_upstream(gateway: Gateway) -> None:
    async with gateway.async_client() as client:
        stream = await ask(client, "num-n1000-g50", "cancelled-1", stream=True)
        await anext(aiter(stream))
        await stream.close()
        await asyncio.to_thread(gateway.wait_for_hang_up, "cancelled-1")
