"""Benchmarks: run methods on data sets, compute metrics, tabulate them, and serve preference studies."""
