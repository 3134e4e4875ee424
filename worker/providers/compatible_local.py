"""OpenAI-shaped servers on one's own machine, as `compatible_rows`."""

from typing import Final

from worker.providers.compatible_row import OLD_FUNCTIONS, OPENAI_ONLY, Row

LOCAL_ROWS: Final = (
    Row(
        # What openai/openai.go of ollama/ollama does not read, it ignores without a word.
        type_name="ollama",
        title="Ollama",
        base_url="http://localhost:11434/v1",
        key_page="none: Ollama asks for no key",
        key_required=False,
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logit_bias n parallel_tool_calls service_tier tool_choice",
    ),
    Row(
        # vllm/entrypoints/openai/chat_completion/protocol.py; further fields are ignored.
        type_name="vllm",
        title="vLLM",
        base_url="http://localhost:8000/v1",
        key_page="what vLLM was started with (--api-key), if anything",
        key_required=False,
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} service_tier",
    ),
    Row(
        # lmstudio.ai/docs/developer/openai-compat/chat-completions lists what it reads.
        type_name="lm-studio",
        title="LM Studio",
        base_url="http://localhost:1234/v1",
        key_page="none: LM Studio asks for no key",
        key_required=False,
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logprobs top_logprobs n parallel_tool_calls service_tier",
    ),
    Row(
        type_name="llama-cpp",
        title="llama.cpp server",
        base_url="http://localhost:8080/v1",
        key_page="what llama-server was started with (--api-key), if anything",
        key_required=False,
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} service_tier",
    ),
)
