"""`python -m soonest`, the same as `soonest`."""

from soonest.cli import main

if __name__ == "__main__":
    main()
