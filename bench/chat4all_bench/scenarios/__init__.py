"""The scenarios, a module each: its arguments, its figures, and one round of it.

A module has `HELP`; `PRIMARY`, the histogram whose `p99` is meant where no other is named;
`figures(options)`, the metrics that thresholds may name; `add_arguments(parser)`; and
`run(round_, options)`, which carries out one round. None imports anything heavy before it runs.
"""
