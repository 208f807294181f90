"""`python -m whisperfleet`: the command line, where the console script is not on PATH."""

from whisperfleet.cli import main

if __name__ == "__main__":
    main()
