"""One loader per data set, named as on the command line."""
