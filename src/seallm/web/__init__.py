"""What every page and API of seallm shares: who is let in, how refusals look, files of a page, listening."""
