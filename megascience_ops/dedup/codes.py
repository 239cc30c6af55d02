"""Texts as their code points, one text after the other: a byte each where all of them are ASCII."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bounds = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]
Codes = npt.NDArray[Any]

ASCII, CODE_POINTS = 0x80, 0x110000


def codes_of(texts: pa.Array) -> tuple[Codes, Bounds]:
    """All texts as code points, each with a line end behind it that separates it from the next, and where they end.

    Those of ASCII texts are a byte each.
    """
    nothing, line_end = pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
    texts = pc.binary_join_element_wise(texts.cast(pa.large_string()), nothing, line_end)
    if (codes := text_bytes(texts)).max(initial=0) < ASCII:
        return codes, np.cumsum(byte_lengths(texts))
    try:
        texts = pc.utf8_normalize(texts, form="NFC")
        ends = np.cumsum(pc.utf8_length(texts).to_numpy(), dtype=np.int64)
        whole = text_bytes(texts).tobytes().decode()
    except (pa.ArrowException, UnicodeDecodeError):
        clean = [text.decode(errors="replace") for text in texts.cast(pa.large_binary()).to_pylist()]
        return codes_of(pa.array([text[:-1] for text in clean], pa.large_string()))
    return np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32), ends


def byte_lengths(texts: pa.Array) -> Bounds:
    """How many bytes each text has."""
    lengths: Bounds = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def text_bytes(texts: pa.Array) -> Letters:
    """The bytes of large_string texts, one after the other."""
    _, offsets, content = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    whole = np.frombuffer(content, dtype=np.uint8) if content else np.empty(0, dtype=np.uint8)
    return whole[bounds[0] : bounds[-1]] if len(texts) else whole[:0]
