"""Pretrained and self-supervised starting weights."""
