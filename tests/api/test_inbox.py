"""Whatever is lost, doubled, late or sent by the wrong worker: a client gets one run of its job, whole and in order."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from api.inbox import Delivery, Inbox, Verdict
from shared.frames import Kind

Run = tuple[str, int, int]
"""(worker, epoch, attempt)"""
RUNS: list[Run] = [("a", 0, 1), ("b", 0, 2), ("a", 0, 3), ("c", 1, 1), ("a", 1, 2), ("impostor", 0, 2), ("b", 2, 1)]
LENGTH = 6


def frame(run: Run, sequence: int) -> Delivery:
    """START, then content, then END; the payload names the run and the place."""
    kind = {0: Kind.START, LENGTH - 1: Kind.END}.get(sequence, Kind.CHUNK)
    return kind, b"%b %d %d %d" % (run[0].encode(), run[1], run[2], sequence)


@dataclass
class Client:
    """Takes what is ready, at times of its own, and sees contents."""

    inbox: Inbox
    seen: list[Delivery] = field(default_factory=list)

    def take(self) -> None:
        ready, self.inbox.ready = self.inbox.ready, []
        self.seen += ready

    @property
    def contents(self) -> list[bytes]:
        return [payload for kind, payload in self.seen if kind == Kind.CHUNK]


def receive(inbox: Inbox, run: Run, sequence: int) -> Verdict:
    return inbox.receive(*run, sequence, *frame(run, sequence))


def replay(inbox: Inbox) -> None:
    """What the worker sends when it is asked: everything from the first missing frame on."""
    run = (inbox.worker, inbox.epoch, inbox.attempt)
    for sequence in range(inbox.expected, LENGTH):
        receive(inbox, run, sequence)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.sampled_from(RUNS), st.integers(0, LENGTH - 1)),
        st.tuples(st.just("beacon"), st.sampled_from(RUNS), st.integers(0, LENGTH)),
        st.tuples(st.just("enqueue"), st.just(RUNS[0]), st.integers(0, 1)),
        st.tuples(st.just("take"), st.just(RUNS[0]), st.just(0)),
        st.tuples(st.just("replay"), st.just(RUNS[0]), st.just(0)),
    ),
    max_size=60,
)


def play(inbox: Inbox, client: Client, script: list[tuple[str, Run, int]]) -> None:
    """An "enqueue" is tried only as long as nothing was shown; its reply, where one comes, may be late."""
    for what, run, number in script:
        if what == "frame":
            receive(inbox, run, number)
        elif what == "beacon":
            inbox.beacon(*run, number)
        elif what == "enqueue" and number:
            inbox.newest_epoch += not inbox.shown
        elif what == "enqueue":
            inbox.begin_epoch(inbox.newest_epoch)
        elif what == "replay" and inbox.worker:
            replay(inbox)
        else:
            client.take()


@given(steps)
def test_contents_are_of_one_run_gapless_and_in_order(script: list[tuple[str, Run, int]]) -> None:
    inbox = Inbox()
    client = Client(inbox)
    play(inbox, client, script)
    client.take()
    assert len({content.rsplit(b" ", 1)[0] for content in client.contents}) <= 1
    assert [int(content.rsplit(b" ", 1)[1]) for content in client.contents] == list(range(1, len(client.contents) + 1))


@given(steps)
def test_what_was_begun_is_completed_by_a_replay(script: list[tuple[str, Run, int]]) -> None:
    inbox = Inbox()
    client = Client(inbox)
    play(inbox, client, script)
    if inbox.worker:
        replay(inbox)
        client.take()
        run = (inbox.worker, inbox.epoch, inbox.attempt)
        assert client.contents == [frame(run, sequence)[1] for sequence in range(1, LENGTH - 1)]
        assert [kind for kind, _ in client.seen].count(Kind.END) == 1


@given(steps)
def test_a_run_of_which_contents_were_seen_is_never_left(script: list[tuple[str, Run, int]]) -> None:
    inbox = Inbox()
    client = Client(inbox)
    for number, step in enumerate(script):
        run, shown = (inbox.worker, inbox.epoch, inbox.attempt), inbox.shown
        play(inbox, client, [step])
        assert not shown or (inbox.worker, inbox.epoch, inbox.attempt) == run, number


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 100_000))
def test_what_is_held_back_is_bounded(sequences: list[int], size: int) -> None:
    inbox = Inbox()
    for sequence in sequences:
        inbox.receive("a", 0, 1, sequence + 1, Kind.CHUNK, b"x" * size)
        held = sum(len(payload) for _, payload in inbox._held.values())
        assert held == inbox._held_bytes <= 256 * 1024


def test_a_newer_attempt_after_contents_is_a_conflict() -> None:
    inbox = Inbox()
    receive(inbox, RUNS[0], 0)
    receive(inbox, RUNS[0], 1)
    assert receive(inbox, RUNS[1], 0) is Verdict.CONFLICT


def test_a_run_that_was_asked_for_in_vain_is_refused() -> None:
    """It was enqueued anew in a doubt, and the first run came back: that one goes on."""
    inbox = Inbox()
    inbox.newest_epoch = 1
    for sequence in range(2):
        receive(inbox, RUNS[0], sequence)
    assert receive(inbox, ("c", 1, 1), 0) is Verdict.REFUSED
    assert inbox.beacon("c", 1, 1, 3) is Verdict.REFUSED
    assert receive(inbox, RUNS[0], 2) is Verdict.TAKEN


def test_frames_of_an_epoch_that_was_never_enqueued_are_refused() -> None:
    inbox = Inbox()
    assert receive(inbox, ("c", 1, 1), 0) is Verdict.REFUSED
    inbox.newest_epoch = 1
    assert receive(inbox, ("c", 1, 1), 0) is Verdict.TAKEN


def test_the_same_run_from_another_worker_is_refused() -> None:
    """After Redis lost the count of attempts two workers may bear the same one."""
    inbox = Inbox()
    assert receive(inbox, ("a", 0, 2), 0) is Verdict.TAKEN
    assert receive(inbox, ("impostor", 0, 2), 1) is Verdict.REFUSED


def test_a_beacon_that_is_ahead_says_that_something_is_missing() -> None:
    inbox = Inbox()
    assert inbox.beacon("a", 0, 1, 0) is Verdict.TAKEN
    assert inbox.beacon("a", 0, 1, 2) is Verdict.BEHIND


def test_an_answer_that_begins_before_the_queue_has_replied_goes_on() -> None:
    """Frames and the queue's reply come on two connections."""
    inbox = Inbox()
    for sequence in range(2):
        receive(inbox, RUNS[0], sequence)
    assert inbox.shown
    assert inbox.begin_epoch(0)
