"""What a user must know that is neither an error nor a result."""

import sys


def tell(message: str) -> None:
    """Writes a sentence to standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
