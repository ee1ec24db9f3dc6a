"""Keep a strategy's code away from labels and from the program."""
