"""Frozen features by any encoder: computed once, kept in the cache, trained on by probes. torch is imported where it is used."""

from runners.encoding.encode import encoded
from runners.encoding.resolve import resolved

__all__ = ["encoded", "resolved"]
