"""llama.cpp's own server in a process, as the package xllamacpp carries it: `embedded.py MODEL PORT METRICS`."""

import signal
import sys

SLOTS = 4


def main(model, port, metrics):
    import xllamacpp

    words = xllamacpp.CommonParams()
    words.model.path = model
    words.model_alias = {"tiny"}
    words.hostnames = ["127.0.0.1"]
    words.port = int(port)
    words.n_parallel = SLOTS
    words.n_ctx = SLOTS * 1024
    words.cpuparams.n_threads = 1
    words.n_threads_http = 16
    words.ctx_shift = True
    words.endpoint_metrics = metrics == "1"
    words.endpoint_slots = True
    server = xllamacpp.Server(words)
    sys.stderr.write(f"{server.listening_address}\n")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
