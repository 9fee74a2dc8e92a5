"""The command line. Parsers import the standard library only; a command imports what it needs."""
