"""What is costly to make and the same for everybody who asks: made once, by one process, and found again."""

from runners.caching.cache_folder import CACHE_VARIABLE, cache_folder, entry_folder
from runners.caching.cached_array import Allocate, kept_array
from runners.caching.make_once import once, there

__all__ = ["CACHE_VARIABLE", "Allocate", "cache_folder", "entry_folder", "kept_array", "once", "there"]
