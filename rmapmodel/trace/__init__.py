"""Traces: reading and writing them, and the synthetic workloads (contract.md section 2)."""

from .jsonl import Trace, read, write

__all__ = ["Trace", "read", "write"]
