"""Device, memory, signals and terminal of this machine."""
