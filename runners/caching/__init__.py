"""Cache for results that are expensive to compute: one process makes each of them, all others read it."""

from runners.caching.cache_folder import CACHE_VARIABLE, cache_folder, entry_folder
from runners.caching.cached_array import Allocate, get_or_make_array
from runners.caching.make_once import get_or_make, read_if_valid

__all__ = [
    "CACHE_VARIABLE",
    "Allocate",
    "cache_folder",
    "entry_folder",
    "get_or_make",
    "get_or_make_array",
    "read_if_valid",
]
