"""Run studies: data sets, strategies, training, executors and the command. PyTorch is used here only.

The public faces are `runners.study` (`run_study`) and `runners.strategies`. This module imports nothing, so that
`beatrandom --help` is fast.
"""
