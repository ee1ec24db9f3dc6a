"""Run a strategy that is not built in, in a process of its own that holds no label it did not buy."""
