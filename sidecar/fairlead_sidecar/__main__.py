"""The pod's entry point: `python -m fairlead_sidecar`."""

import gc

# Importing makes tens of thousands of objects that all stay: collecting meanwhile costs an eighth of the start-up's
# CPU time, and going through them again later would only lengthen pauses.
gc.disable()

from fairlead_sidecar.pod import main  # noqa: E402 - see above

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
