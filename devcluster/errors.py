"""The one error a user of the test cluster meets: a sentence that says what is wrong and what to do."""


class DevclusterError(Exception):
    """Something the user can act on; the command line prints it without a traceback and exits with 2."""
