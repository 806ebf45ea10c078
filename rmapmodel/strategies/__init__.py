"""The designs: one file each, registered by name; `STRATEGIES` holds them all."""

from ..outside import load
from . import page_table_scan, pte_chain, objrmap  # in the order of history, which is that of all tables
from . import anonmm, anonmm_copy, anonmm_remap, anon_vma, shared_space, shared_space_unique
from . import anon_vma_chain, cow_context
from .base import STRATEGIES, Strategy, register, strategy

__all__ = ["STRATEGIES", "Strategy", "anon_vma", "anon_vma_chain", "anonmm", "anonmm_copy", "anonmm_remap", "cow_context",
           "objrmap", "page_table_scan", "pte_chain", "register", "shared_space", "shared_space_unique", "strategy"]

load()  # last: a design from outside imports this package
