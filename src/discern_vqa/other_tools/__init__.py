"""Runs and data sets of this program in other evaluation tools: lmms-eval, MultiMedEval (docs/other_tools.md)."""
