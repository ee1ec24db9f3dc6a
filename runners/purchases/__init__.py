"""Classes, pictures and predictions of purchased images, read from data sets and records."""
