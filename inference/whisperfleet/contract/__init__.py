"""The wire contract: what producers, workers and the operator agree on, and nothing else.

`job` is the message, `result` the answer, `events` what the done and dead-letter streams carry,
`keys` the names in Redis, `states` the life of a job, `codes` why one did not give words. Every
module here is importable with the producer's dependencies alone.
"""
