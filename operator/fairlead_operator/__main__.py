"""`python -m fairlead_operator`."""

import sys

from fairlead_operator.main import main

if __name__ == "__main__":
    sys.exit(main())
