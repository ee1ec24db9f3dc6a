"""Device, memory, signals and notices of this machine."""
