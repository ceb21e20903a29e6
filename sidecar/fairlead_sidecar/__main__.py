"""The pod's entry point: `python -m fairlead_sidecar`."""

import gc

from fairlead_sidecar import lazy_modules

# Importing makes tens of thousands of objects that all stay: collecting meanwhile costs an eighth of the start-up's
# CPU time. It begins once everything is loaded.
gc.disable()
lazy_modules.install()

from fairlead_sidecar.start import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
