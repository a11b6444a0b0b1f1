"""Importing torch and transformers in a process of our own, without garbage collection.

    with heavy_imports():
        from evoltune.train.sft.trainer import run

Transformers' Trainer comes with 3,600 modules and 400,000 objects, none of them garbage. Looking for garbage among them took
1.0 s of the 6.0 s of processor time of the import, and 1.3 s more when the process ended.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Garbage collection waits for the end of the block, and leaves out all objects of that moment from then on. Not for a
    program of which this package is only a part: its garbage of that moment would stay, too."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
