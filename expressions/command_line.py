"""What the three scripts share at the command line: numbers that make sense, and sentences instead of tracebacks."""

import argparse
import sys
import traceback
from pathlib import Path

from expressions.errors import DataError


def count(text):
    """An argparse type: a whole number from 1 up."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small: wanted 1 or more")
    return number


def run_script(main):
    """Runs a script's `main()`; what a student can mend ends in a sentence and exit status 1, not in a traceback.

    Args:
        main: function without arguments.
    """
    try:
        main()
    except NotImplementedError as todo:
        place = traceback.extract_tb(todo.__traceback__)[-1]
        sys.exit(f"\nStill to do: {todo}\n  ({Path(place.filename).name}, line {place.lineno})")
    except DataError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The network in training was not saved.")
