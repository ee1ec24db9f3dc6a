"""What is costly to make and the same for everybody who asks: made once, by one process, and found again."""

from runners.caching.arrays import Allocate, kept_array
from runners.caching.once import once, there
from runners.caching.places import CACHE_VARIABLE, cache_folder, entry_folder

__all__ = ["CACHE_VARIABLE", "Allocate", "cache_folder", "entry_folder", "kept_array", "once", "there"]
