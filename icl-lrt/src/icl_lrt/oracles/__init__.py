"""Rules to compare a network with: the exact Bayes predictive, plug-ins, kernel smoothers, and noise-aware rules.

A rule maps a labelled context and queries to one score a query, float64 on the device of its arguments. It says 1 where
the score is > 0.
"""
