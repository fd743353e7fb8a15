"""The one exception of the library."""


class ConversionError(ValueError):
    """A module, an option or a file that `snn` can't take; the message is one line that says what to do."""
