"""Read study folders and tables of curves into `Curves`."""
