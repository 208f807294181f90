"""The worker: claim -> fetch -> decode -> window -> engine -> assemble -> finish.

`build` names the parts, `worker` starts and watches them, `process` is what surrounds it. `loop`
claims, `job_runner` carries one claim out on a thread of its own and settles it, `job_pipeline` is
what becomes of the job meanwhile, and `batcher` joins the windows of all jobs into batches for the
one engine.
"""
