"""rmapmodel: how Linux finds every page table entry that maps a page, as it was argued in 2004, executable."""

__version__ = "0.1.0"
