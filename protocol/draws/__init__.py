"""Everything that the root seed decides: seed streams, splits, trials, shown maps."""
