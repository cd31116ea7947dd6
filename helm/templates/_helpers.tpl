{{/* Names, labels, the image. Configurations are in _configuration.tpl, checks in _checks.tpl, pods in _pod.tpl. */}}

{{- define "hsm-signing.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hsm-signing.driver.fullname" -}}
{{ include "hsm-signing.fullname" . }}-driver
{{- end -}}

{{- define "hsm-signing.api.fullname" -}}
{{ include "hsm-signing.fullname" . }}-api
{{- end -}}

{{/* What selects the pods of a part; never changes. Takes a list: root, part. */}}
{{- define "hsm-signing.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object of a part. Takes a list: root, part. */}}
{{- define "hsm-signing.labels" -}}
{{- $root := index . 0 -}}
{{ include "hsm-signing.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hsm-signing.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* The name of a driver node: the common name of its client certificate. Takes a list: root, ordinal, node. */}}
{{- define "hsm-signing.node.name" -}}
{{- $node := index . 2 -}}
{{- default (printf "%s-%d" (include "hsm-signing.driver.fullname" (index . 0)) (int (index . 1))) $node.name -}}
{{- end -}}

{{/* Origins of the API’s driver listener, as a JSON list. */}}
{{- define "hsm-signing.driver.addresses" -}}
{{- if .Values.driver.api.addresses -}}
{{- toJson .Values.driver.api.addresses -}}
{{- else -}}
{{- list (printf "https://%s-driver.%s.svc:%d" (include "hsm-signing.api.fullname" .) .Release.Namespace (int .Values.api.driver.service.port)) | toJson -}}
{{- end -}}
{{- end -}}
