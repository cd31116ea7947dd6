{{/* What pods of all parts have in common. */}}

{{- define "hsm-signing.pod.securityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# Secrets are mounted for the group only: the product refuses files that others can read.
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "hsm-signing.container.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* One source of a projected volume. Takes a list: secret, key, path. */}}
{{- define "hsm-signing.pod.secretFile" -}}
- secret:
    name: {{ index . 0 }}
    items:
      - key: {{ index . 1 }}
        path: {{ index . 2 }}
{{- end -}}

{{/* Database secrets. Takes a list: database values, path prefix, whether the owner’s password is among them. */}}
{{- define "hsm-signing.pod.databaseFiles" -}}
{{- $database := index . 0 -}}
{{- $prefix := index . 1 -}}
{{ include "hsm-signing.pod.secretFile" (list $database.password.secret $database.password.key (printf "%sdatabase-password" $prefix)) }}
{{- if $database.ca.secret }}
{{ include "hsm-signing.pod.secretFile" (list $database.ca.secret $database.ca.key (printf "%sdatabase-ca.crt" $prefix)) }}
{{- end }}
{{- if index . 2 }}
{{ include "hsm-signing.pod.secretFile" (list $database.owner.password.secret $database.owner.password.key (printf "%sdatabase-owner-password" $prefix)) }}
{{- end }}
{{- end -}}

{{/* Where the pods of a part go. Takes a list: root, part, values of the part. */}}
{{- define "hsm-signing.pod.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index . 2 -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "hsm-signing.selector" (list $root $part) | fromYaml)) -}}
affinity:
{{- if $values.affinity }}
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if $values.hardAntiAffinity }}
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      {{- toYaml (list $term) | nindent 6 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      {{- toYaml (list (dict "weight" 100 "podAffinityTerm" $term)) | nindent 6 }}
{{- end }}
topologySpreadConstraints:
{{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "hsm-signing.selector" (list $root $part) | nindent 8 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Said once for every pod. */}}
{{- define "hsm-signing.pod.common" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "hsm-signing.pod.securityContext" . | nindent 2 }}
{{- end -}}

{{/* The library’s container, before or beside the driver. Takes a list: root, `initContainer` or `sidecar`. */}}
{{- define "hsm-signing.pod.libraryContainer" -}}
{{- $root := index . 0 -}}
{{- $library := $root.Values.driver.library -}}
{{- $container := index $library (index . 1) -}}
- name: {{ default "library" $container.name }}
  image: {{ $container.image }}
  {{- if eq (index . 1) "sidecar" }}
  # A sidecar: it starts before the driver and ends after it.
  restartPolicy: Always
  {{- end }}
  {{- with $container.command }}
  command:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $container.args }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $container.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- if $container.securityContext }}
    {{- toYaml $container.securityContext | nindent 4 }}
    {{- else }}
    {{- include "hsm-signing.container.securityContext" $root | nindent 4 }}
    {{- end }}
  {{- with $container.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: library
      mountPath: {{ $library.mountPath }}
    {{- with $container.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
