"""What the user sees in a terminal: tables, progress bar, and how a command is stopped."""
