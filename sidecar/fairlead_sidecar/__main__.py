"""The pod's entry point: `python -m fairlead_sidecar`."""

import gc

from fairlead_sidecar import lazy_modules

# Importing makes tens of thousands of objects that all stay: collecting meanwhile costs an eighth of the start-up's
# CPU time, and going through them again later would only lengthen pauses.
gc.disable()
lazy_modules.install()
lazy_modules.defer_wire_models()

from fairlead_sidecar.pod import main  # noqa: E402 - see above

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
