"""Check other evidence than study folders: one record, tables of curves, lists of indices."""

from protocol.foreign.curve_table import check_table
from protocol.foreign.index_lists import check_indices
from protocol.foreign.one_record import check_record

__all__ = ["check_indices", "check_record", "check_table"]
