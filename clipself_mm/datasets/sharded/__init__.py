"""Images in tar shards (WebDataset): written, indexed, read in a seeded order."""
