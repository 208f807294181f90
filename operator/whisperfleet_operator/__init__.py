"""The operator: a `TranscriptionService` in, a fleet that runs, repairs itself and says why out.

`resource` is the resource and its schema, `plan` what it asks for: both are pure and know neither
Kubernetes' client nor kopf. Everything that talks to a server is above them.
"""
