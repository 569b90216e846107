"""`python -m callseal.cli` is the command `callseal`, wherever its script is not on the path."""

from callseal.cli.main import main

main()
