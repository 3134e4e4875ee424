"""What became of accounts outlives Redis, in the state folder of each worker."""

from pathlib import Path

import pytest

from tests.worker.accounts.conftest import Bench, provider
from tests.worker.accounts.test_states import delay, fail, take
from worker.accounts.leases import Accounts
from worker.accounts.remembered import FIELDS, Remembered
from worker.accounts.states import read_accounts
from worker.faults import Fault


async def note(bench: Bench, accounts: Accounts, remembered: Remembered) -> bool:
    """As each worker does every few seconds."""
    await bench.heard(accounts)
    known = remembered.note(await read_accounts(bench.bus, [("p", "a")], FIELDS))
    remembered.save()
    return known


async def after_a_loss(bench: Bench, folder: Path, secret: str = "k") -> Accounts:
    """A worker of the same configuration, whose Redis is empty."""
    await bench.lose()
    return await bench.worker(provider(weights="1", secret=secret), remembered=Remembered(folder))


async def test_who_needs_a_person_still_does(bench: Bench, tmp_path: Path) -> None:
    accounts = await bench.worker(provider(weights="1"))
    fail(accounts, await take(accounts), Fault.CHALLENGED)
    assert await note(bench, accounts, Remembered(tmp_path))
    found = await delay(await after_a_loss(bench, tmp_path))
    assert (found.kind, found.why) == ("none", "needs_renewal")


async def test_who_was_used_up_rests_as_long_as_it_was_told_and_is_tried_by_one(bench: Bench, tmp_path: Path) -> None:
    accounts = await bench.worker(provider(weights="1"))
    fail(accounts, await take(accounts), Fault.QUOTA_EXHAUSTED, retry_after_s=100)
    await note(bench, accounts, Remembered(tmp_path))
    await bench.advance(40_000)
    later = await after_a_loss(bench, tmp_path)
    found = await delay(later)
    assert (found.why, found.wait_s) == ("exhausted", 60)
    await bench.advance(60_001)
    assert (await take(later)).probe


async def test_another_secret_is_another_account(bench: Bench, tmp_path: Path) -> None:
    accounts = await bench.worker(provider(weights="1"))
    fail(accounts, await take(accounts), Fault.CREDENTIAL_REJECTED)
    await note(bench, accounts, Remembered(tmp_path))
    await take(await after_a_loss(bench, tmp_path, secret="renewed"))


async def test_what_has_recovered_is_forgotten(bench: Bench, tmp_path: Path) -> None:
    accounts = await bench.worker(provider(weights="1"))
    remembered = Remembered(tmp_path)
    fail(accounts, await take(accounts), Fault.CREDENTIAL_REJECTED)
    await note(bench, accounts, remembered)
    accounts.revive("p", "a")
    await note(bench, accounts, remembered)
    await take(await after_a_loss(bench, tmp_path))


async def test_a_redis_that_has_lost_an_account_makes_nobody_forget(bench: Bench, tmp_path: Path) -> None:
    accounts = await bench.worker(provider(weights="1"))
    remembered = Remembered(tmp_path)
    fail(accounts, await take(accounts), Fault.CHALLENGED)
    await note(bench, accounts, remembered)
    await bench.lose()
    assert not await note(bench, accounts, remembered)
    await delay(await after_a_loss(bench, tmp_path))


@pytest.mark.parametrize("damage", [b"", b"{", b"[[1]]", b'{"a": 1}', b"[[[], {}, 1, 2, 3, 4, 5, 6, 7]]"])
def test_a_damaged_file_is_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "accounts").write_bytes(damage)
    assert Remembered(tmp_path).recall("p", "a") == ""
