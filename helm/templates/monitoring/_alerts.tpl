{{/*
The alerts, as a YAML list. Each has a page docs/runbook/NAME.md; its address is added by prometheusrule.yaml, and
test/chart-monitoring.test.ts holds that the page and every metric are there.
*/}}
{{- define "hsm-signing.alerts" -}}
{{- $values := .Values.prometheusRule -}}
- alert: HsmNoSlotReady
  expr: sum by (namespace) (hsm_driver_slot_state{state="ready"}) == 0
  for: 30s
  labels: { severity: critical }
  annotations:
    summary: No HSM slot is ready; nothing is signed
- alert: HsmSlotNotReady
  expr: max by (namespace, slot) (hsm_driver_slot_state{state="ready"}) == 0
  for: 2m
  labels: { severity: warning }
  annotations:
    summary: Slot {{ "{{ $labels.slot }}" }} takes no work
- alert: HsmPinRefused
  expr: max by (namespace, slot) (hsm_driver_slot_pin{state="refused"}) == 1
  labels: { severity: critical }
  annotations:
    summary: The token of slot {{ "{{ $labels.slot }}" }} refused its PIN; nobody tries it again
- alert: HsmSlotCrashLoop
  expr: max by (namespace, slot) (hsm_driver_slot_crash_loop) == 1
  for: 1m
  labels: { severity: warning }
  annotations:
    summary: The workers of slot {{ "{{ $labels.slot }}" }} end again and again
- alert: HsmWorkerRestarts
  expr: sum by (namespace, slot) (increase(hsm_driver_worker_restarts_total{reason!="RELOAD"}[10m])) > 5
  labels: { severity: warning }
  annotations:
    summary: The workers of slot {{ "{{ $labels.slot }}" }} were replaced more than five times in ten minutes
- alert: HsmBreakerOpen
  expr: max by (namespace, slot) (hsm_driver_slot_breaker{state="open"}) == 1
  for: 1m
  labels: { severity: warning }
  annotations:
    summary: Slot {{ "{{ $labels.slot }}" }} answers no probe
- alert: HsmTagFailures
  expr: sum by (namespace) (increase(hsm_driver_events_total{event="tag_failures"}[15m])) > 0
  labels: { severity: critical }
  annotations:
    summary: A row of the driver database is not as it was written
- alert: HsmAuditHeadRefused
  expr: sum by (namespace) (increase(hsm_driver_events_total{event="audit_heads_refused"}[15m])) > 0
  labels: { severity: critical }
  annotations:
    summary: The audit log of a worker was cut or rewritten
- alert: HsmAuthorisationsRefused
  expr: sum by (namespace) (increase(hsm_driver_events_total{event="authorisations_refused"}[15m])) > 0
  labels: { severity: critical }
  annotations:
    summary: The signing API asked for something that no approved credential authorised
- alert: HsmClockWrong
  expr: max by (namespace, pod) (abs(hsm_driver_clock_ahead_seconds)) > 60
  for: 1m
  labels: { severity: critical }
  annotations:
    summary: A node’s clock and that of its database differ by more than a minute
- alert: HsmJournalConflicts
  expr: sum by (namespace) (increase(hsm_driver_events_total{event=~"journal_conflicts|outcomes_conflicting"}[15m])) > 0
  labels: { severity: critical }
  annotations:
    summary: One request was seen with two payloads or two results
- alert: HsmSigningSlow
  expr: >-
    histogram_quantile(0.99, sum by (namespace, le) (rate(hsm_driver_request_seconds_bucket{kind="Sign"}[5m]))) > {{ $values.signSeconds }}
  for: 5m
  labels: { severity: warning }
  annotations:
    summary: One signature in a hundred takes longer than {{ $values.signSeconds }} s in the driver
- alert: HsmRequestsFailing
  expr: >-
    sum by (namespace) (rate(hsm_driver_requests_total{outcome="error"}[5m]))
    / sum by (namespace) (rate(hsm_driver_requests_total[5m])) > 0.05
  for: 5m
  labels: { severity: warning }
  annotations:
    summary: More than one request in twenty ends with an error in the drivers
- alert: HsmDriverApiUnreachable
  expr: max by (namespace, slot) (hsm_driver_api_reached) == 0
  for: 1m
  labels: { severity: critical }
  annotations:
    summary: Slot {{ "{{ $labels.slot }}" }} cannot reach the signing API
- alert: HsmDriverDatabaseUnreachable
  expr: max by (namespace, slot) (hsm_driver_database_answers) == 0
  for: 1m
  labels: { severity: critical }
  annotations:
    summary: Slot {{ "{{ $labels.slot }}" }} cannot reach the driver database
- alert: HsmNodeDead
  expr: max by (namespace) (hsm_driver_cluster_nodes{state="dead"}) > 0
  for: 5m
  labels: { severity: warning }
  annotations:
    summary: A node of the key store has not been seen for five minutes
- alert: HsmClusterAlarm
  expr: max by (namespace) (hsm_driver_cluster_alarms) > 0
  for: 1m
  labels: { severity: warning }
  annotations:
    summary: The leader of the cluster reports an alarm
- alert: HsmMaintenanceAlarm
  expr: max by (namespace, job) (hsm_driver_job_alarms) > 0
  for: 1m
  labels: { severity: warning }
  annotations:
    summary: The maintenance job {{ "{{ $labels.job }}" }} has found something that a person must look at
- alert: HsmMaintenanceFailed
  expr: >-
    max by (namespace, job) (hsm_driver_job_failed) > 0
    or time() - max by (namespace, job) (hsm_driver_job_last_done_timestamp_seconds{job!~"reconciliation|key-check|.*-rotation"}) > 3 * 3600
  for: 15m
  labels: { severity: warning }
  annotations:
    summary: The maintenance job {{ "{{ $labels.job }}" }} has failed, or was not done for three hours
- alert: HsmDriverCertificateExpiring
  expr: min by (namespace, pod, certificate) (hsm_driver_certificate_expiry_timestamp_seconds) - time() < {{ $values.certificateDays }} * 86400
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: The certificate “{{ "{{ $labels.certificate }}" }}” of {{ "{{ $labels.pod }}" }} expires in less than {{ $values.certificateDays }} days
- alert: SigningApiCertificateExpiring
  expr: min by (namespace, certificate) (hsm_api_certificate_expiry_timestamp_seconds) - time() < {{ $values.certificateDays }} * 86400
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: The API’s certificate “{{ "{{ $labels.certificate }}" }}” expires in less than {{ $values.certificateDays }} days
- alert: SigningApiDriverCertificateExpiring
  expr: max by (namespace, node) (hsm_api_driver_certificate_expiry_timestamp_seconds) - time() < {{ $values.certificateDays }} * 86400
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: The client certificate with which node {{ "{{ $labels.node }}" }} calls the API expires in less than {{ $values.certificateDays }} days
- alert: SigningApiTokenExpiring
  expr: min by (namespace) (hsm_api_access_token_expiry_timestamp_seconds) - time() < {{ $values.certificateDays }} * 86400
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: A bearer token that applications use expires in less than {{ $values.certificateDays }} days
- alert: SigningApiNoDriver
  expr: sum by (namespace) (hsm_api_ready) > 0 unless on (namespace) max by (namespace) (hsm_api_driver_instances) > 0
  for: 1m
  labels: { severity: critical }
  annotations:
    summary: No driver has asked the API for work for a minute
- alert: SigningApiQueueBacklog
  expr: max by (namespace, key_store) (hsm_api_oldest_request_seconds) > {{ $values.oldestRequestSeconds }}
  for: 1m
  labels: { severity: warning }
  annotations:
    summary: Requests of key store {{ "{{ $labels.key_store }}" }} wait longer than {{ $values.oldestRequestSeconds }} s for a driver
- alert: SigningApiDatabaseUnreachable
  expr: min by (namespace) (hsm_api_database_answers) == 0
  for: 1m
  labels: { severity: critical }
  annotations:
    summary: A process of the signing API does not reach its database
- alert: SigningApiErrors
  expr: >-
    sum by (namespace) (rate(hsm_api_call_seconds_count{status=~"5.."}[5m]))
    / sum by (namespace) (rate(hsm_api_call_seconds_count[5m])) > 0.01
  for: 5m
  labels: { severity: warning }
  annotations:
    summary: More than one call in a hundred to the signing API is answered with 5xx
- alert: SigningApiRequestsFailed
  expr: sum by (namespace) (increase(hsm_api_requests_finished_total{state="failed"}[10m])) > 0
  labels: { severity: warning }
  annotations:
    summary: Requests have failed for good in the last ten minutes
{{- end -}}
