"""What can be checked besides a study folder: one record, anybody's table of curves, anybody's lists of labelled indices."""

from protocol.imports.curves import check_table
from protocol.imports.indices import check_indices
from protocol.imports.single import check_record

__all__ = ["check_indices", "check_record", "check_table"]
