"""What a request, a chunk and an open stream cost: CPU by the kernel's clocks, and every token checked.

    make bench                                  everything, with the budget beside it
    python -m tests.bench.mapping               translating alone, for every provider type
    python -m tests.bench --quick               one round of fewer requests, without the growth scenarios
    python -m tests.bench.soak --minutes 30     hours in little: hang-ups, killed workers, flat memory

CPU time is the figure to trust on a shared machine: it hardly depends on who else is running, as latencies do.

To see where a process spends its time, keep one scenario running and sample it (py-spy comes by `pip install py-spy`):

    python -m tests.bench --scenarios paced-10000 --rounds 5 --no-growth &
    py-spy record --pid $(pgrep -f 'P -m worker') --duration 20 --rate 500 --format raw --output worker.txt
    py-spy top --pid $(pgrep -f 'P -m api')

In the raw format each line is one stack and how often it was seen, the innermost function last.
"""
