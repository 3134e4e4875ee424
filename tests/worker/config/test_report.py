"""What `penstock check` shows."""

from pathlib import Path

from worker.config.loading import parse
from worker.config.report import report

TEXT = """
server: {host: 127.0.0.1, port: 8081}
providers:
  - name: moon
    type: moonshot
    proxy: http://user:canary-proxy@localhost:1
    models: [kimi-k2]
    model_map: {kimi: kimi-k2}
    limits: {concurrency: 9}
    credentials:
      - {name: main, api_key: canary-key, weight: 2, prefix: moon1, limits: {rpm: 500, tpm_strict: true}}
      - {name: spare, api_key: canary-key-2, disabled: true}
  - {name: found, type: groq, disabled: true, credentials: [{api_key: canary-key-3}]}
  - {name: echo, type: echo}
  - {name: spark, type: spark, credentials: [{app_id: public-id, api_key: canary-key-4, api_secret: canary-key-5}]}
models:
  fast: {strategy: race, targets: [{model: moon/kimi-k2, weight: 3}, echo/echo], fallbacks: [slow]}
  slow: echo/echo
keys:
  - {name: team, key: canary-client-key-0123, models: ["fast"], default_model: fast, model_map: {"gpt-*": fast}}
  - {name: gone, key: canary-client-key-4567, revoked: true}
admin: {key: canary-admin-key-0123}
"""


def test_it_shows_everything_but_secrets() -> None:
    text = report(parse(TEXT, {}, path=Path("p.yaml"), generation=1), {"found": ["llama"]})
    assert text.split("\nWarnings:")[0] == EXPECTED
    assert "canary" not in text


EXPECTED = """\
Configuration: p.yaml
Address: http://127.0.0.1:8081 (auth: keys)
Names: merge; strategy weighted
Queue: 10000 jobs, 268435456 bytes, 60 s

Providers:
  moon: moonshot, official, https://api.moonshot.cn/v1, by proxy
    models: kimi-k2, kimi
    credential main: api_key ***, weight 2, prefix moon1, rpm 500, tpm_strict True
    credential spare: api_key ***, weight 1, concurrency 9, disabled
  found: groq, official, https://api.groq.com/openai/v1, disabled
    models: llama
    credential 1: api_key ***, weight 1
  echo: echo, official
    models: echo, echo-tool, echo-error
    credential default: weight 1
  spark: spark, official, https://spark-api-open.xf-yun.com
    models: lite, generalv3, pro-128k, generalv3.5, max-32k, 4.0Ultra, spark-x, kjwx
    credential 1: app_id public-id, api_key ***, api_secret ***, weight 1

Routes:
  fast -> moon/kimi-k2 x3, echo/echo x1 (race)
    then slow
  slow -> echo/echo (weighted)

Client keys:
  team: models fast; default fast; gpt-* => fast
  gone: revoked
"""


def test_a_warning_is_a_line() -> None:
    text = report(parse("server: {}", {}, path=Path("p.yaml"), generation=1))
    assert "\nWarnings:\n  no client key is configured" in text
