"""The exceptions that this package raises on purpose. Each has a one-line message for the user."""


class UnoccludeError(Exception):
    """The run failed (exit code 1): the input was valid, but the work could not be finished."""

    exit_code = 1


class Interrupted(UnoccludeError):
    """The user stopped the run, and it is known what was kept."""

    exit_code = 130


class InputError(UnoccludeError):
    """Bad usage or bad input (exit code 2): the message says what was wrong and what to do."""

    exit_code = 2
