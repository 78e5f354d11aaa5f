"""llama.cpp's log, which goes to the terminal unless it is given a place: thrown away."""

from typing import Any


def silence(lib: Any) -> None:
    """Throw away what llama.cpp (the module `llama_cpp`) logs from now on."""
    if not hasattr(lib, "seallm_quiet"):  # llama.cpp needs the function for as long as it lives
        lib.seallm_quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(lib.seallm_quiet, None)
