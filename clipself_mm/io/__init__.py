"""Files: written atomically, read without running what they hold."""
