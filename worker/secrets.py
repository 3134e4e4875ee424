"""The workers' secret: what opens sealed boxes, hashes client keys and encrypts stored tokens.

One secret of 32 bytes serves all workers. Keys for single purposes are derived from it, so that publishing one (that of
client keys lies in the catalogue) tells nothing about the others.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import msgpack
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from nacl.secret import SecretBox

from shared.sealing import BOX_VERSION
from worker.whole_file import write_draft

SECRET_BYTES = 32
_FILE = "secret-key"


class SecretsError(Exception):
    """The workers' secret is missing, malformed or not that of the other workers."""


class SealBroken(Exception):
    """A sealed box that is not for this worker, this request, this provider or this time."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A caller's own key, and the one request that it is for."""

    key: str = field(repr=False)
    rid: str
    provider: str
    expires_at_s: float


class Secrets:
    """What is derived from the workers' secret. No repr shows any of it."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise SecretsError(f"the secret key has {len(secret)} bytes and needs {SECRET_BYTES}")
        self._secret = secret
        self._private = PrivateKey(self.derive("sealing"))
        self._tokens = SecretBox(self.derive("tokens"))
        self.sealing_key = bytes(self._private.public_key)
        """The public half, for fronts."""
        self.key_id = blake2b(self.sealing_key, digest_size=8).hexdigest()
        self.hmac_key = self.derive("client keys")

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (at most 16 bytes of UTF-8), unrelated to those for any other."""
        return blake2b(key=self._secret, person=purpose.encode(), digest_size=32).digest()

    def open_sealed(self, box: bytes, *, rid: str, provider: str, now_s: float) -> Sealed:
        """The caller's key in `box`. Raises SealBroken unless it is for exactly this request and not expired."""
        try:
            version, key_id, ciphertext = msgpack.unpackb(box)
            if version != BOX_VERSION or key_id != self.key_id:
                raise SealBroken("the box was sealed for other workers")
            sealed = Sealed(*msgpack.unpackb(SealedBox(self._private).decrypt(ciphertext)))
        except (CryptoError, ValueError, TypeError, msgpack.UnpackException):
            raise SealBroken("the box cannot be opened") from None
        if (sealed.rid, sealed.provider) != (rid, provider):
            raise SealBroken("the box is for another request")
        if sealed.expires_at_s < now_s:
            raise SealBroken("the box has expired")
        return sealed

    def encrypt(self, plaintext: bytes) -> bytes:
        """For tokens that have to be kept in Redis or in a file."""
        return bytes(self._tokens.encrypt(plaintext))

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Raises SealBroken for what another secret encrypted."""
        try:
            return self._tokens.decrypt(ciphertext)
        except (CryptoError, ValueError):
            raise SealBroken("was encrypted with another secret key") from None


def make_secret() -> str:
    """A new secret as PENSTOCK_SECRET_KEY has it: base64 of 32 random bytes."""
    return base64.urlsafe_b64encode(os.urandom(SECRET_BYTES)).decode()


def parse_secret(text: str) -> bytes:
    """The bytes of base64 (either alphabet) or hex. Raises SecretsError, which does not quote `text`."""
    plain = text.strip()
    try:
        if len(plain) == 2 * SECRET_BYTES:
            return bytes.fromhex(plain)
        padded = plain + "=" * (-len(plain) % 4)
        secret = base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise SecretsError("PENSTOCK_SECRET_KEY must be 32 bytes in base64 or hex; `openssl rand -base64 32` makes one")
    return secret


def load_secrets(environ: Mapping[str, str]) -> Secrets:
    """From PENSTOCK_SECRET_KEY, else from the state folder, where the first worker makes it. Raises SecretsError."""
    if environ.get("PENSTOCK_SECRET_KEY"):
        return Secrets(parse_secret(environ["PENSTOCK_SECRET_KEY"]))
    path = state_folder(environ) / _FILE
    try:
        return Secrets(parse_secret(read_or_make(path, make_secret())))
    except OSError as error:
        raise SecretsError(f"{path} cannot be used: {error.strerror}; set PENSTOCK_SECRET_KEY instead") from None


def state_folder(environ: Mapping[str, str]) -> Path:
    """PENSTOCK_STATE_DIR, else $XDG_STATE_HOME/penstock, else ~/.local/state/penstock."""
    if environ.get("PENSTOCK_STATE_DIR"):
        return Path(environ["PENSTOCK_STATE_DIR"])
    home = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return Path(home) / "penstock"


def read_or_make(path: Path, text: str) -> str:
    """The text of `path`, which gets `text` if it is not there yet (0600, its folder 0700).

    Of several processes that find it missing, one makes it and all read that one: the file is linked into place whole.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = write_draft(path, f"{text}\n".encode())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
