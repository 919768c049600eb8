"""Methods x data: run, measure, tabulate, and ask people."""
