"""From a destination and an account to an attempt: the request's fields shaped, the credential at hand."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from shared.errors import Unavailable
from worker.accounts.leases import Lease
from worker.accounts.renewal import is_renewable
from worker.answer import UpstreamAnswer
from worker.attempt import Attempt
from worker.config.schema import CredentialConfig, ProviderConfig
from worker.faults import Fault, UpstreamError
from worker.history import History
from worker.job import Job
from worker.providers.contract import ChatCall, Credential, JsonObject, LocalProvider, Settings
from worker.routing.fields import FieldRules
from worker.routing.route import Destination
from worker.secrets import SealBroken
from worker.state import WorkerState

_NO_RULES = FieldRules()


class Sender:
    """Makes the attempts of one request. `queue_ms` is how long it waited for the first."""

    def __init__(self, state: WorkerState, job: Job) -> None:
        self.body: JsonObject = orjson.loads(job.envelope.body)
        self.history = History.decode(job.note)
        self.queue_ms = 0
        self._renewable: set[tuple[str, str]] = set()
        self._state = state
        self._job = job
        self._config = state.config
        self._rules = state.dispatch.key_rules.get(job.envelope.caller, _NO_RULES)

    async def attempt(self, destination: Destination, lease: Lease | None) -> Attempt:
        """Not sent before its `first`. Raises Unavailable where a caller's own key cannot be read, UpstreamError
        where an account's token cannot be renewed.
        """
        self.history.begin()
        self.queue_ms = max(0, self.history.first_ms - self._job.envelope.enqueued_ms)
        provider, envelope = destination.provider, self._job.envelope
        credential = await self._credential(destination, lease)
        answer = UpstreamAnswer(
            self._state.upstream,
            provider.kind,
            self._call(destination),
            credential,
            provider.timeouts,
            include_usage=envelope.include_usage,
            most_bytes=self._config.worker.max_answer_bytes,
            proxy=provider.proxy.get_secret_value() if provider.proxy else None,
        )
        accounts, metrics = self._state.dispatch.accounts, self._state.metrics
        renew = self._renewal(provider, credential, lease)
        return Attempt(self.history.attempts, envelope.request_id, destination, lease, answer, accounts, metrics, renew)

    def _renewal(
        self, provider: ProviderConfig, credential: Credential, lease: Lease | None
    ) -> Callable[[], Awaitable[None]] | None:
        """Once for each account: a new token that is refused as well is no matter of its age."""
        place = (provider.name, credential.name)
        account = _account(provider, lease)
        if account is None or place in self._renewable or not is_renewable(provider, credential.values):
            return None
        self._renewable.add(place)
        token = credential.values["access_token"]
        return partial(self._state.dispatch.renewal.renew_refused, provider, account, token)

    def _call(self, destination: Destination) -> ChatCall:
        provider, envelope = destination.provider, self._job.envelope
        rules = destination.rules.under(self._rules)
        base_url = provider.base_url or provider.kind.default_base_url or ""
        settings = Settings(provider.name, base_url, provider.options, rules.drop_unsupported)
        completion_id, created = f"chatcmpl-{envelope.request_id}", time.time_ns() // 1_000_000_000
        return ChatCall(rules.apply(self.body), destination.model, envelope.stream, completion_id, created, settings)

    async def _credential(self, destination: Destination, lease: Lease | None) -> Credential:
        provider = destination.provider
        if self._job.envelope.sealed_key:
            return self._callers_own(provider)
        account = _account(provider, lease)
        if account is None and isinstance(provider.kind, LocalProvider):
            return Credential("local", {})
        if account is None:
            text = "The account is of another configuration than this worker's."
            raise UpstreamError(Fault.PERMISSION_DENIED, text, sent=False)
        return await self._state.dispatch.renewal.credential_of(provider, account)

    def _callers_own(self, provider: ProviderConfig) -> Credential:
        """For this request alone: the box names it and this provider."""
        box, rid = self._job.envelope.sealed_key, self._job.triple[0]
        try:
            sealed = self._state.secrets.open_sealed(box, rid=rid, provider=provider.name, now_s=time.time())
        except SealBroken as error:
            text = f"The gateway cannot read the key of this request: {error}. Send the request again."
            raise Unavailable(text, code="not_ready", retry_after_s=1) from None
        field = provider.kind.own_key_field
        assert field is not None, "the configuration refuses such a provider"
        return Credential("caller", {field: sealed.key})


def _account(provider: ProviderConfig, lease: Lease | None) -> CredentialConfig | None:
    return next((one for one in provider.credentials if lease is not None and one.name == lease.credential), None)
