"""The parts of `make_sample.py`: one module for each kind of sample data."""
