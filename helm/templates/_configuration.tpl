{{/* The configuration files, as the product reads them. Every path is one that _pod.tpl mounts. */}}

{{- define "hsm-signing.secrets" -}}/run/hsm-signing/secrets{{- end -}}
{{- define "hsm-signing.state" -}}/var/lib/hsm-signing{{- end -}}

{{/* Takes a list: root, database values, whether the owner’s role is in it. */}}
{{- define "hsm-signing.configuration.database" -}}
{{- $root := index . 0 -}}
{{- $database := index . 1 -}}
{{- $secrets := include "hsm-signing.secrets" $root -}}
{{- $section := dict "host" $database.host "port" (int $database.port) "name" $database.name "user" $database.user "passwordFile" (printf "%s/database-password" $secrets) -}}
{{- if $database.ca.secret -}}
{{- $_ := set $section "caFile" (printf "%s/database-ca.crt" $secrets) -}}
{{- end -}}
{{- if index . 2 -}}
{{- $_ := set $section "owner" (dict "user" $database.owner.user "passwordFile" (printf "%s/database-owner-password" $secrets)) -}}
{{- end -}}
{{- toYaml $section -}}
{{- end -}}

{{/* One driver node. Takes a list: root, ordinal, node, whether the owner’s role is in it. */}}
{{- define "hsm-signing.configuration.driver" -}}
{{- $root := index . 0 -}}
{{- $node := index . 2 -}}
{{- $secrets := include "hsm-signing.secrets" $root -}}
{{- $slots := list -}}
{{- range $node.slots -}}
{{- $slots = append $slots (set (omit . "pin") "pinFile" (printf "%s/pin-%s" $secrets .name)) -}}
{{- end -}}
{{- $own := dict
  "kind" "driver"
  "node" (include "hsm-signing.node.name" (list $root (index . 1) $node))
  "keyStore" $root.Values.keyStore
  "database" (include "hsm-signing.configuration.database" (list $root $root.Values.driver.database (index . 3)) | fromYaml)
  "ceremonyFile" "/etc/hsm-signing/ceremony.json"
  "stateDirectory" (printf "%s/state" (include "hsm-signing.state" $root))
  "slots" $slots
  "operations" (dict "host" "0.0.0.0" "port" (int $root.Values.driver.operationsPort)) -}}
{{- if $root.Values.driver.rotation -}}
{{- $_ := set $own "rotation" $root.Values.driver.rotation -}}
{{- else -}}
{{- $_ := set $own "api" (dict
    "addresses" (include "hsm-signing.driver.addresses" $root | fromJsonArray)
    "caFile" (printf "%s/api-ca.crt" $secrets)
    "certificateFile" (printf "%s/tls.crt" $secrets)
    "privateKeyFile" (printf "%s/tls.key" $secrets)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.driver.config) (deepCopy ($node.config | default dict)) $own) -}}
{{- end -}}

{{/* The signing API. Takes a list: root, whether the owner’s role is in it. */}}
{{- define "hsm-signing.configuration.api" -}}
{{- $root := index . 0 -}}
{{- $api := $root.Values.api -}}
{{- $secrets := include "hsm-signing.secrets" $root -}}
{{- $nodes := $api.driver.nodes -}}
{{- if $root.Values.driver.enabled -}}
{{- range $ordinal, $node := $root.Values.driver.nodes -}}
{{- $nodes = append $nodes (dict "name" (include "hsm-signing.node.name" (list $root $ordinal $node)) "keyStore" $root.Values.keyStore) -}}
{{- end -}}
{{- end -}}
{{- $own := dict
  "kind" "api"
  "application" (dict
    "host" "0.0.0.0"
    "port" (int $api.application.port)
    "certificateFile" (printf "%s/application.crt" $secrets)
    "privateKeyFile" (printf "%s/application.key" $secrets))
  "driver" (dict
    "host" "0.0.0.0"
    "port" (int $api.driver.port)
    "certificateFile" (printf "%s/driver.crt" $secrets)
    "privateKeyFile" (printf "%s/driver.key" $secrets)
    "clientCaFile" (printf "%s/driver-ca.crt" $secrets)
    "nodes" $nodes)
  "database" (include "hsm-signing.configuration.database" (list $root $api.database (index . 1)) | fromYaml)
  "userActionSecretFile" (printf "%s/user-action-secret" $secrets)
  "keyStores" $api.keyStores
  "operations" (dict "host" "0.0.0.0" "port" (int $api.operationsPort)) -}}
{{- toYaml (mergeOverwrite (deepCopy $api.config) $own) -}}
{{- end -}}
