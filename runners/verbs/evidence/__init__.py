"""Verbs that check, replay, seal and pack the evidence of a study."""
