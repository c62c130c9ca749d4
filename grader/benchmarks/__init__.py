"""One module per table of `python -m grader benchmark`; `grader/benchmark.py` says what a module holds."""
