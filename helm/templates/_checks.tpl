{{/* What a schema cannot say. Each message names the value. */}}
{{- define "hsm-signing.checks" -}}
{{- if not (or .Values.driver.enabled .Values.api.enabled) -}}
{{- fail "driver.enabled and api.enabled are both false: there is nothing to install" -}}
{{- end -}}
{{- if .Values.driver.enabled -}}{{- include "hsm-signing.checks.driver" . -}}{{- end -}}
{{- if .Values.api.enabled -}}{{- include "hsm-signing.checks.api" . -}}{{- end -}}
{{- end -}}

{{- define "hsm-signing.checks.driver" -}}
{{- $root := . -}}
{{- if and .Values.driver.rotation .Values.api.enabled -}}
{{- fail "driver.rotation and api.enabled: rotation nodes have no access to the API; give them a release of their own" -}}
{{- end -}}
{{- if not (or .Values.driver.rotation .Values.driver.api.addresses .Values.api.enabled) -}}
{{- fail "driver.api.addresses is empty and api.enabled is false: the nodes would have nobody to ask for work" -}}
{{- end -}}
{{- $library := .Values.driver.library -}}
{{- if ne $library.from "image" -}}
{{- if not (index $library $library.from) -}}
{{- fail (printf "driver.library.%s is missing: driver.library.from says that the library comes from there" $library.from) -}}
{{- end -}}
{{- if and (ne $library.from "hostPath") (not (index $library $library.from).image) -}}
{{- fail (printf "driver.library.%s.image is missing" $library.from) -}}
{{- end -}}
{{- end -}}
{{- $labels := dict -}}
{{- $names := dict -}}
{{- range $ordinal, $node := .Values.driver.nodes -}}
{{- $name := include "hsm-signing.node.name" (list $root $ordinal $node) -}}
{{- if hasKey $names $name -}}
{{- fail (printf "driver.nodes[%d].name %q is also that of driver.nodes[%d]" $ordinal $name (int (get $names $name))) -}}
{{- end -}}
{{- $_ := set $names $name $ordinal -}}
{{- if not (or $root.Values.driver.rotation $node.tls) -}}
{{- fail (printf "driver.nodes[%d].tls is missing: the Secret with the node’s client certificate" $ordinal) -}}
{{- end -}}
{{- $slotNames := dict -}}
{{- range $at, $slot := $node.slots -}}
{{- $here := printf "driver.nodes[%d].slots[%d]" $ordinal $at -}}
{{- if hasKey $slotNames $slot.name -}}
{{- fail (printf "%s.name %q is also that of %s" $here $slot.name (get $slotNames $slot.name)) -}}
{{- end -}}
{{- $_ := set $slotNames $slot.name $here -}}
{{- $serial := default "" $slot.tokenSerial -}}
{{- range $other := get $labels $slot.tokenLabel | default list -}}
{{- if or (not $serial) (not $other.serial) (eq $serial $other.serial) -}}
{{- fail (printf "%s.tokenLabel %q is also that of %s: a token is worked by one slot; members of an HA group differ in tokenSerial" $here $slot.tokenLabel $other.at) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $labels $slot.tokenLabel (append (get $labels $slot.tokenLabel | default list) (dict "at" $here "serial" $serial)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hsm-signing.checks.api" -}}
{{- $primary := 0 -}}
{{- range .Values.api.keyStores -}}{{- if .primary -}}{{- $primary = add1 $primary -}}{{- end -}}{{- end -}}
{{- if ne (int $primary) 1 -}}
{{- fail (printf "api.keyStores must have exactly one entry with primary: true, and has %d" (int $primary)) -}}
{{- end -}}
{{- if .Values.driver.enabled -}}
{{- $own := false -}}
{{- range .Values.api.keyStores -}}{{- if eq .id $.Values.keyStore -}}{{- $own = true -}}{{- end -}}{{- end -}}
{{- if not $own -}}
{{- fail (printf "api.keyStores has no entry with the id %q, which keyStore names" .Values.keyStore) -}}
{{- end -}}
{{- end -}}
{{- end -}}
