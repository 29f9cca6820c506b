"""`python -m yizhan` is the command `yizhan`."""

from yizhan.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
