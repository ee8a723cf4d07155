"""Numbers in the units in which a person has set them."""

from __future__ import annotations

from django.utils.formats import number_format

GIB, MIB = 1024**3, 1024**2


def binary(size: int) -> str:
    """Bytes in the binary units in which limits are set."""
    number, unit = (size / GIB, "GiB") if size >= GIB else (size / MIB, "MiB")
    return f"{number_format(f'{number:.4g}')}\N{NO-BREAK SPACE}{unit}"
