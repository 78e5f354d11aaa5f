"""Parts of `check_gpu.py`."""
