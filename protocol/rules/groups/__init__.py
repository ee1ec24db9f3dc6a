"""The compliance rules, one file per prefix of the rule ids."""
