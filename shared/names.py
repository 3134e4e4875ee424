"""Names of everything in Redis. All keys share the hash tag {ps}, so that they live in one slot.

A request is known by its `rid`, "<front>.<number>"; `<front>` and `<worker>` are random per process start.

queue     ZSET   rid -> score; what waits to be claimed
due       ZSET   rid -> unix ms; parked jobs and when they return to the queue
scores    HASH   rid -> queue score of a parked job, so that parking loses no place
notes     HASH   rid -> what a run that was parked tells the next
suspects  ZSET   jobs of a worker that died under them, to be run in a disposable process
solo      ZSET   jobs under which two processes died, to be run one to a process
jobs      HASH   rid -> "<epoch>:" + envelope, from enqueue to finish
bytes     STRING size of all values of jobs
tries     HASH   rid -> attempts started, ever growing: it fences late frames
deaths    HASH   rid -> processes that died under the job
owner     HASH   rid -> "<worker>|<epoch>|<attempt>" while it runs
inf:<w>   HASH   rid -> "<epoch>:<attempt>:q" (nothing shown to the client) or ":s" (first content published)
workers   ZSET   worker -> unix ms at which its lease ends
fronts    HASH   front -> looks in a row that found nobody listening on its channel
doubts    HASH   worker -> "<lease deadline>:<unix ms>" of the first look that found its control channel deaf
reaped    STRING "<unix ms> <Redis run id> <calm until, unix ms>" of the reaper's last run
nursery   STRING a disposable process has just been asked for
overlay   HASH   generation and encrypted body of the changes to the configuration that were made over HTTP
admin     LIST   requests of the administration, until a worker takes them
wake      LIST   no or one token; BLPOP on it wakes exactly one worker
woken     STRING one was woken and has not claimed yet; for some milliseconds
"""

PREFIX = "{ps}:"
QUEUE = PREFIX + "queue"
WAKE = PREFIX + "wake"
CATALOGUE = PREFIX + "catalogue"
CATALOGUE_NEWS = PREFIX + "catalogue:news"
DISCOVERED = PREFIX + "discovered"
DISCOVERED_NEWS = PREFIX + "discovered:news"
OVERLAY = PREFIX + "overlay"
OVERLAY_NEWS = PREFIX + "overlay:news"
ADMIN_QUEUE = PREFIX + "admin"
ADMIN_NEWS = PREFIX + "admin:news"


def response_channel(front: str) -> str:
    """Where workers publish frames for one front process."""
    return f"{PREFIX}resp:{front}"


def admin_channel(front: str) -> str:
    """Where workers answer one front's requests of the administration."""
    return f"{PREFIX}admin:{front}"


def control_channel(worker: str) -> str:
    """Where fronts publish cancel, replay and acknowledge; being subscribed is the worker's sign of life."""
    return f"{PREFIX}ctl:{worker}"


def split_rid(rid: str) -> tuple[str, int]:
    """("front", number) of a rid."""
    front, _, number = rid.rpartition(".")
    return front, int(number)
