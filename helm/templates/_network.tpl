{{/* Rules that several network policies have. */}}

{{- define "hsm-signing.network.dns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
{{- end -}}

{{/* To named peers, or to any address, on one port. Takes a list: peers, port. */}}
{{- define "hsm-signing.network.egress" -}}
- ports:
    - { protocol: TCP, port: {{ int (index . 1) }} }
  {{- with index . 0 }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Scraping. Takes a list: root, port. */}}
{{- define "hsm-signing.network.metrics" -}}
{{- with (index . 0).Values.networkPolicy.metricsFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - { protocol: TCP, port: {{ int (index $ 1) }} }
{{- end -}}
{{- end -}}
