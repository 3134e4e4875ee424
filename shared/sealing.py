"""Sealed boxes for callers' own provider keys: a front seals with the workers' public key, only workers can open.

A box is msgpack `[version, key id, ciphertext]`; the plaintext is msgpack `[key, rid, provider, expires at (unix s)]`,
so that a box serves one request, one provider and a limited time. The ciphertext is libsodium's `crypto_box_seal`.
"""

from typing import Final

import msgpack
from nacl.public import PublicKey, SealedBox

BOX_VERSION: Final = 1


def seal(public_key: bytes, key_id: str, key: str, *, rid: str, provider: str, expires_at_s: float) -> bytes:
    """`key`, readable by the holders of `key_id`'s private half alone. `public_key` has 32 bytes (X25519)."""
    plaintext: bytes = msgpack.packb((key, rid, provider, expires_at_s))
    packed: bytes = msgpack.packb((BOX_VERSION, key_id, SealedBox(PublicKey(public_key)).encrypt(plaintext)))
    return packed
