"""Fix the evidence of a study: manifest, signature, archive."""
