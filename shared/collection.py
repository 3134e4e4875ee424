"""How often Python looks for reference cycles."""

import gc


def collect_rarely() -> None:
    """Call it once a process is ready. What it has loaded stays for good and is never looked at again; a request leaves
    few cycles behind, and looking for them after every 700 objects takes a fifth of its CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
