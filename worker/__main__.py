"""`python -m worker`: the same as `stockfreeze`."""

from worker.cli.main import main

if __name__ == "__main__":
    main(prog_name="stockfreeze")
