"""From an address to samples: fetch what may be fetched, decode it where it can do no harm.

`policy` says what a worker may contact, `fetch` streams it to a file, `decoder` turns the file into
mono 16 kHz blocks in processes that may die.
"""
