"""The worker: claim -> fetch -> decode -> window -> engine -> assemble -> finish.

`process` wires the steps, `loop` claims and finishes, `job` carries one job through its steps on a
thread of its own, `engine_queue` joins the windows of all jobs into batches for the one engine.
"""
