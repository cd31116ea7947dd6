{{/* Takes a list: root, `driver` or `api`, values of the part, the configuration file’s text. */}}
{{- define "hsm-signing.migration" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index . 2 -}}
{{- $name := printf "%s-migrate-%s" (include "hsm-signing.fullname" $root) $part -}}
# The configuration that the owner’s role is in: of this job, before the release is touched.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  labels:
    {{- include "hsm-signing.labels" (list $root "migration") | nindent 4 }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "-10"
    helm.sh/hook-delete-policy: before-hook-creation
data:
  {{ $part }}.yaml: |
    {{- index . 3 | nindent 4 }}
---
# Safe to run twice and by several at once. A configuration that is not valid ends here, before it reaches a node.
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  labels:
    {{- include "hsm-signing.labels" (list $root "migration") | nindent 4 }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: {{ $root.Values.migration.backoffLimit }}
  activeDeadlineSeconds: {{ $root.Values.migration.activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "hsm-signing.labels" (list $root "migration") | nindent 8 }}
      {{- with $root.Values.migration.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      {{- include "hsm-signing.pod.common" $root | nindent 6 }}
      containers:
        - name: migrate
          image: {{ include "hsm-signing.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [migrate, --config, /etc/hsm-signing/{{ $part }}.yaml]
          securityContext:
            {{- include "hsm-signing.container.securityContext" $root | nindent 12 }}
          resources:
            {{- toYaml $root.Values.migration.resources | nindent 12 }}
          volumeMounts:
            - name: configuration
              mountPath: /etc/hsm-signing
              readOnly: true
            - name: secrets
              mountPath: {{ include "hsm-signing.secrets" $root }}
              readOnly: true
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: configuration
          configMap:
            name: {{ $name }}
        - name: secrets
          projected:
            defaultMode: 0440
            sources:
              {{- include "hsm-signing.pod.databaseFiles" (list $values.database "" true) | nindent 14 }}
        - name: tmp
          emptyDir:
            medium: Memory
            sizeLimit: 16Mi
{{- end -}}
