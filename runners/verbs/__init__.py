"""The work of every verb of the command. `runners.cli` holds their options."""
