"""Augmentation of images, masks and views."""
