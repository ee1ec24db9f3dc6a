"""The append-only record of a run: events, hash chain, file layout, machine lock."""
