"""`python -m lightsearch` is the command `lightsearch`."""

from lightsearch.cli import main

if __name__ == "__main__":
    main(prog_name="lightsearch")
