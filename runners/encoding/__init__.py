"""Frozen features by any encoder, computed once and cached.

Torch is imported only where it is used.
"""

from runners.encoding.encode import encode_images
from runners.encoding.resolve import resolve_files

__all__ = ["encode_images", "resolve_files"]
