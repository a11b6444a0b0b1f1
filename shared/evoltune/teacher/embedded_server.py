"""The embedded teacher's child process: `python -m evoltune.teacher.embedded_server '{"model": "x.gguf", "parent": 17, ...}'`.

Prints its address on one line, then serves until standard input closes. Invariant: it listens on loopback only.
"""

import json
import os
import signal
import sys

from evoltune.orphans import end_with_parent


def main() -> None:
    """Runs the server described by the JSON argument; returns when the parent is gone."""
    options = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # also sent to the whole process group
        signal.signal(number, signal.SIG_IGN)  # the parent lets calls in flight come home, then closes the pipe
    end_with_parent(options["parent"])  # also while the model is being loaded
    out = os.dup(1)
    os.dup2(2, 1)  # llama.cpp logs to both; only the address goes to the parent
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the kernel picks a free one
    params.n_parallel = options["slots"]
    params.n_ctx = options["slots"] * options["context"]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.verbosity = 1
    server = xllamacpp.Server(params)
    os.write(out, f"{server.listening_address}\n".encode())
    os.close(out)
    while os.read(0, 4096):
        pass
    os._exit(0)  # nothing needs saving, and tearing down native threads can hang


if __name__ == "__main__":
    main()
