"""The entry point of `micrograd-xor`: runs a command and turns what goes wrong into one clear line."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when a check fails, 2 for bad input, 130 after Ctrl-C.

    >>> main(["study", "--hidden", "0"])
    2
    """
    try:
        from micrograd_xor.commands import run

        return run(arguments)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        return _complain(f"{package} must be installed. pip install 'micrograd-xor[study]'")
    except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130


def _complain(message: str) -> int:
    print(f"micrograd-xor: {message}", file=sys.stderr)
    return 2
