"""What the test prints."""

import os
import time

# The same for the program that goes on in namespaces of its own.
BEGAN = float(os.environ.setdefault("E2E_BEGAN", str(time.monotonic())))


class Failure(Exception):
    """Why the test failed."""


def say(text, seconds=None):
    """Prints a line with the seconds since the start and, if given, those that it took."""
    took = "" if seconds is None else " (%.1f s)" % seconds
    print("%7.1f  %s%s" % (time.monotonic() - BEGAN, text, took), flush=True)
