"""From records (or anyone's table of curves) to verdicts against random, figures, tables and a report."""
