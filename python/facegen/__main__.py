"""The command `facegen`, and ``python -m facegen``."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line and return its exit code; Ctrl-C is quiet already while it loads.

    Signals are handled here, for the process: `facegen.cli.main.main` may be called in another's.
    """
    try:
        from facegen.cli import signals

        signals.handle()
        from facegen.cli.main import main

        return main()
    except KeyboardInterrupt:
        print("facegen: interrupted", file=sys.stderr)
        return 130
    except SystemExit as error:  # of SIGTERM
        print("facegen: terminated", file=sys.stderr)
        return error.code if isinstance(error.code, int) else 1
    finally:
        gc.freeze()  # the end of the process need not look through all that is left for cycles


if __name__ == "__main__":
    sys.exit(main())
