"""Settings for all tests that must be made before torch is imported."""

from seallm.base.runtime import calm_threads

calm_threads()
