"""Learning methods for images and maps: supervised and semi-supervised."""
