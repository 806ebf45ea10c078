"""What an ELF file says of the segments that exec maps."""

import struct
from typing import NamedTuple

_LOAD = 1  # include/uapi/linux/elf.h:PT_LOAD
_CLASSES = {  # e_ident[EI_CLASS]: (e_phoff's place and form, where e_phentsize and e_phnum are, a program header)
    1: ((28, "<I"), 42, lambda raw: struct.unpack_from("<IIIII", raw)),
    2: ((32, "<Q"), 54, lambda raw: [struct.unpack_from("<IIQQQQ", raw)[place] for place in (0, 2, 3, 4, 5)])}


class Segment(NamedTuple):
    """A segment that exec maps: its offset in the file, its address and its length in the file, in bytes."""

    offset: int
    address: int
    length: int


def segments(path):
    """The loaded segments of a little-endian ELF file in their order; [] if it cannot be read or is another file.

    >>> import sys
    >>> segments(sys.executable)[0].offset
    0
    >>> segments("no/such/file")
    []
    """
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:4] != b"\x7fELF" or head[4] not in _CLASSES or head[5] != 1:
                return []
            (place, form), sizes, header = _CLASSES[head[4]]
            size, count = struct.unpack_from("<HH", head, sizes)
            file.seek(*struct.unpack_from(form, head, place))
            found = (header(file.read(size)) for _ in range(count))
            return [Segment(offset, address, length) for kind, offset, address, _, length in found if kind == _LOAD]
    except (OSError, struct.error):
        return []
