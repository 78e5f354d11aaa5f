"""The floor: errors, records, files, artifacts, runtime. It imports nothing else of seallm."""
