"""The sandbox: runs untrusted programs, tests them from another process, and keeps both away from everything else.

A domain reaches it as `context.run(Job(...)) -> Verdict` (and `context.run_many(jobs)`). What `Job.tests` may be:

    "assert f(2) == 4"                       Python source; names that it does not define itself are looked up in the
                                             program, so helpers of the program work too
    "def check(candidate): ..."              HumanEval style: then `check(entry_point)` is called as well; tests in the
                                             forms of pytest and unittest are run as their runners run them
    ["assert ...", "assert ..."]             each its own case, in order and in one namespace; all must pass
    {"each": ["assert ...", ...]}            the same, but every case runs; `evidence["passed"]` lists 0 and 1
    {"cases": [[args, expected], ...],       entry_point(*args) against expected, both as `values.encode` writes them
     "atol": 0.0, "oracle": SOURCE,          (atol: floats; oracle: a program that computes the expected values in
     "lists": false, "compare": ""}          another isolated process: then a case is [args] alone; lists: tuples count
                                             as lists; compare: "set", items in any order, however often, or "found",
                                             only whether there is a result); [args, a, b]: either is right
    {"probe": [args, ...]}                   calls entry_point(*args), compares nothing: `evidence["results"]` holds
                                             one string per call; equal strings mean equal results
    {"stdio": [[input, output], ...],        a program that reads standard input: one new process per case, as `python
     "atol": 0.0}                            main.py` would run it; its output is compared by the law of `outputs`
    None                                     the program just runs with `Job.stdin`; pass = exit status 0;
                                             `evidence["stdout"]` holds the last 64 KiB of its output

Other languages (the table in `languages`) take stdio, None, and source of their own language as `tests`, which runs after the
program in its process and reports its own end (`own_tests`). `Job.program` is the whole program, `Job.entry_point` a top-level name in it.

How tests that are source are judged (`reading` decides, by the tests; `evidence["judge"]` says it):

    separate        calls with plain values and comparisons of plain values: the tests run in the test runner, and the program
                    never sees an expected value. Plain are None, bool, int, float, complex, str, bytes, list, tuple, set,
                    frozenset, dict, deque, range, Decimal, Fraction, date and time types, of exactly these types.
    same process    everything else: identity, aliasing, classes, exceptions' attributes, state, frameworks. The tests run in the
                    solution process (`same_process`). Also where a test meets an object that is no plain value.

Evidence of every verdict: `isolation` (L3..L0), `cpu_s`, `memory_mb`, `calls` (into the program), and on failure
`stdout` (tail), `test` (the failing source line), `exception`.

Processes: the driver (`pool`) starts workers (`worker`: supervisor and verifier process). In the verifier
process `dispatch` sends a job to the `zygote`, which forks a `test_runner`, which forks a `solution_process`.

    from evoltune.sandbox.values import encode
    Job(program="def add(a, b): return a + b", entry_point="add", tests={"cases": [[encode([1, 2]), encode(3)]]})
"""
