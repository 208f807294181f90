"""The worker: claim -> fetch -> decode -> window -> engine -> assemble -> finish.

`process` wires the parts, `loop` claims, `job_runner` carries one claim out on a thread of its own
and settles it, `job_pipeline` is what becomes of the job meanwhile, and `batcher` joins the windows
of all jobs into batches for the one engine.
"""
