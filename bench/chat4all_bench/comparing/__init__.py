"""`chat4all bench compare A B`: whether B is better, worse or the same, as far as that can be told.

What is known of comparing measurements elsewhere, and what of it is here:

- benchstat and pyperf compare rounds, and say of too few that nothing can be told; so it is here:
  four on each side, or as many as could ever be told apart by chance in less than 1 of 20 cases.
- Criterion gives an interval of the change by resampling, and has a threshold below which a change
  is noise; likewise here (`--noise`). The interval is of the ratio of medians.
- Latencies of one run are no independent rounds. Resampling the counts of a histogram tells how
  much of a quantile's difference is chance among its messages; it does not hold what changes from
  one round to the next, so it never makes a verdict of better or worse.
"""
