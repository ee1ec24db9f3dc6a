"""Training methods: supervised, semi-supervised, on images and maps."""
