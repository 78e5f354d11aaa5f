"""`python -m seallm`: the command line, for starters such as torchrun that take a module."""

from seallm.cli import main

if __name__ == "__main__":
    main()
