"""Raw documents in, clean and tiered documents out."""
