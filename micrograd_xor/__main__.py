"""`python -m micrograd_xor`, the same as `micrograd-xor`."""

import sys

from micrograd_xor.cli import main

sys.exit(main())
