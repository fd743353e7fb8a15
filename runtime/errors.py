"""The one exception that reaches a user as a single line."""


class UserError(Exception):
    """Something that the person at the command line can put right.

    The message is one line that names the option or file, the value found and what would be right.
    `program.main` prints it without a traceback and exits with code 2.
    """
