"""The designs: one file each, registered by name; `STRATEGIES` holds them all."""

from . import anon_vma, anon_vma_chain, anonmm, pte_chain, shared_space
from .base import STRATEGIES, Strategy, register, strategy

__all__ = ["STRATEGIES", "Strategy", "anon_vma", "anon_vma_chain", "anonmm", "pte_chain", "register", "shared_space",
           "strategy"]
