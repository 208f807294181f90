{{- define "whisperfleet.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "whisperfleet.operator" -}}
{{- printf "%s-operator" (include "whisperfleet.fullname" .) -}}
{{- end -}}

{{- define "whisperfleet.redis" -}}
{{- printf "%s-redis" (include "whisperfleet.fullname" .) -}}
{{- end -}}

{{- define "whisperfleet.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "whisperfleet.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the account to use, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels of everything but pods, for they change with each version. Takes a list: the context, and what it is. */}}
{{- define "whisperfleet.labels" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/part-of: whisperfleet
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "whisperfleet.operatorSelector" -}}
app.kubernetes.io/name: whisperfleet-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "whisperfleet.redisSelector" -}}
app.kubernetes.io/name: whisperfleet-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* An image by its digest, else by its tag. Takes a list: the image, the tag of one that names none. */}}
{{- define "whisperfleet.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the restricted pod security standard asks of a container. */}}
{{- define "whisperfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
