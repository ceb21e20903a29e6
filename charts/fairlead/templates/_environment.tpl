{{- /* The operator's settings; `helm test` runs with the same. */}}
{{- define "fairlead.environment" -}}
- name: FAIRLEAD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: FAIRLEAD_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: FAIRLEAD_SIDECAR_IMAGE
  value: {{ include "fairlead.image" (dict "root" . "name" "sidecar") | quote }}
- name: FAIRLEAD_SIDECAR_IMAGE_PULL_POLICY
  value: {{ .Values.image.sidecar.pullPolicy }}
{{- with .Values.imagePullSecrets }}
- name: FAIRLEAD_IMAGE_PULL_SECRETS
  {{- $names := list }}
  {{- range . }}
  {{- $names = append $names .name }}
  {{- end }}
  value: {{ join "," $names | quote }}
{{- end }}
{{- with .Values.watchNamespaces }}
- name: FAIRLEAD_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.endpoint }}
- name: FAIRLEAD_ENDPOINT_TYPE
  value: {{ .type }}
{{- with .pathTemplate }}
{{- $both := printf "%s%s" $.Values.endpoint.host . }}
{{- if not (and (contains "{namespace}" $both) (contains "{name}" $both)) }}
{{- fail "endpoint.pathTemplate and endpoint.host together must hold {namespace} and {name}, or hosts would share a path" }}
{{- end }}
- name: FAIRLEAD_ENDPOINT_PATH_TEMPLATE
  value: {{ . | quote }}
{{- end }}
{{- with .host }}
- name: FAIRLEAD_ENDPOINT_HOST
  value: {{ . | quote }}
{{- end }}
{{- with .className }}
- name: FAIRLEAD_ENDPOINT_CLASS_NAME
  value: {{ . | quote }}
{{- end }}
{{- with .controller }}
- name: FAIRLEAD_ENDPOINT_CONTROLLER
  value: {{ . | quote }}
{{- end }}
{{- with .gateway.parentRefs }}
- name: FAIRLEAD_ENDPOINT_GATEWAY_PARENT_REFS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .allowedDomains }}
- name: FAIRLEAD_ENDPOINT_ALLOWED_DOMAINS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .tls.clusterIssuer }}
- name: FAIRLEAD_ENDPOINT_TLS_CLUSTER_ISSUER
  value: {{ . | quote }}
{{- end }}
{{- with .tls.secretName }}
- name: FAIRLEAD_ENDPOINT_TLS_SECRET_NAME
  value: {{ . | quote }}
{{- end }}
{{- with .annotations }}
- name: FAIRLEAD_ENDPOINT_ANNOTATIONS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .urlPrefix }}
{{- $host := $.Values.endpoint.host }}
{{- $path := ternary "/" "/{namespace}/{name}" (and (contains "{namespace}" $host) (contains "{name}" $host)) }}
{{- $both := printf "%s%s" . (default $path $.Values.endpoint.pathTemplate) }}
{{- if not (and (contains "{namespace}" $both) (contains "{name}" $both)) }}
{{- fail "endpoint.urlPrefix must hold {namespace} and {name} as endpoint.host does, or hosts would share a URL" }}
{{- end }}
- name: FAIRLEAD_ENDPOINT_URL_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- with .trustedProxies }}
{{- include "fairlead.checkNetworks" (dict "name" "endpoint.trustedProxies" "networks" .) }}
- name: FAIRLEAD_ENDPOINT_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
- name: FAIRLEAD_SIDECAR_DEFAULTS
  {{- $defaults := dict }}
  {{- range $name, $value := .Values.sidecar }}
  {{- with $value }}
  {{- $_ := set $defaults $name . }}
  {{- end }}
  {{- end }}
  value: {{ toJson $defaults | quote }}
{{- with .Values.networkPolicy }}
{{- if .enabled }}
- name: FAIRLEAD_NETWORK_POLICY
  {{- $labels := include "fairlead.selectorLabels" $ | fromYaml }}
  value: {{ dict "enabled" true "operatorLabels" $labels "ingressFrom" .ingressFrom "metricsFrom" .metricsFrom | toJson | quote }}
{{- end }}
{{- end }}
{{- with .Values.tokens.issuer }}
- name: FAIRLEAD_TOKEN_ISSUER
  value: {{ . | quote }}
{{- end }}
- name: FAIRLEAD_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: FAIRLEAD_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- end }}
