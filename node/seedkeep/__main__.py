"""``python -m seedkeep`` is the same as ``seedkeep``."""

from seedkeep.cli.main import main

if __name__ == "__main__":
    main()
