"""`python -m ifcurate` is the command line."""

from importlib import import_module

if __name__ == "__main__":
    import_module("ifcurate.cli").main()
