"""CPU time and memory of processes, as the kernel counts them."""

import time
from pathlib import Path

import psutil


def cpu_s(pid: int) -> float:
    """Of the process, all its threads and all its descendants that live, to the nanosecond."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own_cpu_s(process.pid) for process in family)


def _own_cpu_s(pid: int) -> float:
    """By the process' own clock: its id is made from the pid as in clock_getcpuclockid(3) (CPUCLOCK_SCHED)."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return 0.0


def rss_mb(pid: int) -> float:
    """Resident memory now, MB."""
    return _status_mb(pid, "VmRSS")


def peak_rss_mb(pid: int) -> float:
    """The most it ever was, MB."""
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def machine_busy_s() -> float:
    """CPU time that the whole machine has spent, s."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
