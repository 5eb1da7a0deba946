"""`python -m recommenders.feast_environment` prints the variables that Feast's command line needs, for a shell's `eval`.

The values hold passwords: they are for ``eval "$(…)"``, not for a log.
"""

import shlex
import sys

from recommenders.features import feast_environment

__all__ = ["main"]


def main() -> None:
    """Write one ``export NAME=value`` line for each variable of `feast_environment`."""
    for name, value in feast_environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


if __name__ == "__main__":
    main()
