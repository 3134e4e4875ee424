"""Names in Redis of what accounts share over all workers. A pool is a provider with its credentials.

pool:<p>          HASH   generation and digest of its configuration, strategy, virtual time of its turns, sums of
                         limits, hold_ms (how long a lease is held), head and head_ms (first in line, when it fits)
pool-ready:<p>    ZSET   credential -> its standing; the smallest is taken next
pool-resting:<p>  ZSET   credential -> unix ms at which to look at it again
line:<p>[/<c>]    ZSET   rid -> place; who waits, in order: for a pool, or for the one credential that a name pins
account:<p>/<c>   HASH   state, cause, since_ms, until_ms, limits, counters
leases:<p>/<c>    ZSET   lease -> unix ms at which it ends unless renewed
leases:<p>        ZSET   "<credential> <lease>" -> the same
route-turns:<r>   HASH   target -> its turn, or when it was last used; and the clocks of both
kept:<digest>     STRING "<p>/<c>" that a conversation keeps to
token:<p>/<c>     STRING a renewed token, encrypted
renewing:<p>/<c>  STRING the worker that renews a token now
checked:<p>/<c>   STRING somebody has checked this account's health, until it expires
"""

from shared.names import PREFIX


def account_key(pool: str, credential: str) -> str:
    return f"{PREFIX}account:{pool}/{credential}"


def leases_key(pool: str) -> str:
    return f"{PREFIX}leases:{pool}"


def kept_key(digest: str) -> str:
    return f"{PREFIX}kept:{digest}"


def token_key(pool: str, credential: str) -> str:
    return f"{PREFIX}token:{pool}/{credential}"


def renewing_key(pool: str, credential: str) -> str:
    return f"{PREFIX}renewing:{pool}/{credential}"


def checked_key(pool: str, credential: str) -> str:
    return f"{PREFIX}checked:{pool}/{credential}"
