"""What `tools/check_data.py` asks of a config: are its files there, and do they fit each other?"""
