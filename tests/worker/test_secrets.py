"""The workers' secret and what is derived from it."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.sealing import seal
from worker.secrets import SealBroken, Secrets, SecretsError, load_secrets, make_secret, parse_secret

KEY = "sk-caller-canary"


@pytest.fixture
def secrets() -> Secrets:
    return Secrets(bytes(range(32)))


def sealed(secrets: Secrets, *, expires_at_s: float = 100.0) -> bytes:
    return seal(secrets.sealing_key, secrets.key_id, KEY, rid="f.1", provider="dashscope", expires_at_s=expires_at_s)


def test_a_box_opens_for_its_request(secrets: Secrets) -> None:
    box = sealed(secrets)
    assert KEY.encode() not in box
    opened = secrets.open_sealed(box, rid="f.1", provider="dashscope", now_s=99)
    assert opened.key == KEY
    assert KEY not in repr(opened)


@pytest.mark.parametrize(
    ("rid", "provider", "now_s", "told"),
    [
        ("f.2", "dashscope", 99, "another request"),
        ("f.1", "openai", 99, "another request"),
        ("f.1", "dashscope", 101, "expired"),
    ],
)
def test_a_box_opens_for_nothing_else(secrets: Secrets, rid: str, provider: str, now_s: float, told: str) -> None:
    with pytest.raises(SealBroken, match=told):
        secrets.open_sealed(sealed(secrets), rid=rid, provider=provider, now_s=now_s)


def test_a_box_for_other_workers_is_told_apart(secrets: Secrets) -> None:
    with pytest.raises(SealBroken, match="other workers"):
        Secrets(bytes(32)).open_sealed(sealed(secrets), rid="f.1", provider="dashscope", now_s=1)


def test_no_changed_box_opens(secrets: Secrets) -> None:
    box = sealed(secrets)
    for i in range(len(box)):
        changed = box[:i] + bytes([box[i] ^ 1]) + box[i + 1 :]
        with pytest.raises(SealBroken):
            secrets.open_sealed(changed, rid="f.1", provider="dashscope", now_s=1)
        with pytest.raises(SealBroken):
            secrets.open_sealed(box[:i], rid="f.1", provider="dashscope", now_s=1)


def test_tokens_are_encrypted_for_these_workers_alone(secrets: Secrets) -> None:
    box = secrets.encrypt(b"token")
    assert b"token" not in box
    assert secrets.decrypt(box) == b"token"
    assert secrets.encrypt(b"token") != box
    with pytest.raises(SealBroken):
        Secrets(bytes(32)).decrypt(box)
    with pytest.raises(SealBroken):
        secrets.decrypt(b"short")


def test_each_purpose_has_its_own_key(secrets: Secrets) -> None:
    keys = {secrets.derive(purpose) for purpose in ("client keys", "tokens", "sealing", "fingerprint")}
    assert len(keys) == 4
    assert bytes(range(32)) not in keys


def test_a_secret_is_base64_or_hex() -> None:
    secret = os.urandom(32)
    forms = [secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode().rstrip("=")]
    assert {parse_secret(form) for form in forms} == {secret}
    assert len(parse_secret(make_secret())) == 32


@pytest.mark.parametrize("text", ["", "canary", "00" * 31, "é" * 44, "!" * 44, "z" * 64])
def test_a_malformed_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(SecretsError, match="PENSTOCK_SECRET_KEY") as caught:
        parse_secret(text)
    assert not text or text not in str(caught.value)


def test_the_state_folder_keeps_a_secret_that_only_its_owner_reads(tmp_path: Path) -> None:
    environ = {"PENSTOCK_STATE_DIR": str(tmp_path / "state")}
    first, second = load_secrets(environ), load_secrets(environ)
    assert first.sealing_key == second.sealing_key
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert [(path.name, path.stat().st_mode & 0o777) for path in (tmp_path / "state").iterdir()] == [
        ("secret-key", 0o600)
    ]


def test_the_environment_wins_over_the_state_folder(tmp_path: Path) -> None:
    environ = {"PENSTOCK_STATE_DIR": str(tmp_path), "PENSTOCK_SECRET_KEY": bytes(range(32)).hex()}
    assert load_secrets(environ).key_id == Secrets(bytes(range(32))).key_id
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SecretsError, match="set PENSTOCK_SECRET_KEY instead"):
        load_secrets({"PENSTOCK_STATE_DIR": str(tmp_path / "file")})


def test_workers_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    code = "import os; from worker.secrets import load_secrets; print(load_secrets(os.environ).key_id)"
    environ = {**os.environ, "PENSTOCK_STATE_DIR": str(tmp_path / "state")}
    environ.pop("PENSTOCK_SECRET_KEY", None)
    starts = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({start.communicate()[0] for start in starts}) == 1
