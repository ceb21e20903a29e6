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
- name: FAIRLEAD_ENDPOINT_PATH_TEMPLATE
  value: {{ .pathTemplate | quote }}
{{- with .host }}
- name: FAIRLEAD_ENDPOINT_HOST
  value: {{ . | quote }}
{{- end }}
{{- with .className }}
- name: FAIRLEAD_ENDPOINT_CLASS_NAME
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
- name: FAIRLEAD_ENDPOINT_URL_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- with .trustedProxies }}
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
